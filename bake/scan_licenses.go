package bake

import (
	"bufio"
	"bytes"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// debianLicenses are short names of machine-readable copyright files (DEP-5)
// that SPDX spells otherwise. A "+" after a GNU license is "or later".
var debianLicenses = map[string]string{
	"expat": "MIT", "mit": "MIT", "x11": "X11", "isc": "ISC", "zlib": "Zlib", "unlicense": "Unlicense",
	"apache-2.0": "Apache-2.0", "apache-2": "Apache-2.0",
	"bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause", "bsd-4-clause": "BSD-4-Clause",
	"gpl-1": "GPL-1.0-only", "gpl-1+": "GPL-1.0-or-later",
	"gpl-2": "GPL-2.0-only", "gpl-2.0": "GPL-2.0-only", "gpl-2+": "GPL-2.0-or-later", "gpl-2.0+": "GPL-2.0-or-later",
	"gpl-3": "GPL-3.0-only", "gpl-3.0": "GPL-3.0-only", "gpl-3+": "GPL-3.0-or-later", "gpl-3.0+": "GPL-3.0-or-later",
	"lgpl-2": "LGPL-2.0-only", "lgpl-2.0": "LGPL-2.0-only", "lgpl-2+": "LGPL-2.0-or-later", "lgpl-2.0+": "LGPL-2.0-or-later",
	"lgpl-2.1": "LGPL-2.1-only", "lgpl-2.1+": "LGPL-2.1-or-later",
	"lgpl-3": "LGPL-3.0-only", "lgpl-3.0": "LGPL-3.0-only", "lgpl-3+": "LGPL-3.0-or-later", "lgpl-3.0+": "LGPL-3.0-or-later",
	"agpl-3": "AGPL-3.0-only", "agpl-3+": "AGPL-3.0-or-later",
	"gfdl-1.3": "GFDL-1.3-only", "gfdl-1.3+": "GFDL-1.3-or-later",
	"mpl-1.1": "MPL-1.1", "mpl-2.0": "MPL-2.0", "psf-2": "PSF-2.0", "cc0-1.0": "CC0-1.0", "cc0": "CC0-1.0",
	"cc-by-3.0": "CC-BY-3.0", "cc-by-4.0": "CC-BY-4.0", "cc-by-sa-3.0": "CC-BY-SA-3.0", "cc-by-sa-4.0": "CC-BY-SA-4.0",
	"ofl-1.1": "OFL-1.1", "0bsd": "0BSD", "bsl-1.0": "BSL-1.0", "openssl": "OpenSSL",
}

// debianLicense is the SPDX expression of all licenses that a machine-readable
// copyright file names; "" of any other file.
func debianLicense(text []byte) string {
	first, _, _ := bytes.Cut(text, []byte("\n"))
	if !bytes.HasPrefix(first, []byte("Format")) || !bytes.Contains(first, []byte("copyright-format")) {
		return ""
	}
	var all []string
	files := false
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxDescription)
	for lines.Scan() {
		line := lines.Text()
		key, value, _ := strings.Cut(line, ":")
		switch {
		case strings.TrimSpace(line) == "":
			files = false
		case strings.EqualFold(key, "Files"):
			files = true
		case strings.EqualFold(key, "License") && files: // stanzas without Files only give the text
			if one := debianSynopsis(value); one != "" && !slices.Contains(all, one) {
				all = append(all, one)
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, " AND ")
}

// debianSynopsis turns the first line of a License field into SPDX's form. "or"
// and "and" without commas keep their meaning, anything else becomes one name.
func debianSynopsis(value string) string {
	value = strings.TrimSpace(value)
	if value == "" {
		return ""
	}
	if strings.Contains(value, ",") || strings.Contains(strings.ToLower(value), " with ") {
		return licenseRef(value)
	}
	either := splitWord(value, "or")
	for i, one := range either {
		both := splitWord(one, "and")
		for j, name := range both {
			both[j] = debianName(name)
		}
		either[i] = strings.Join(both, " AND ")
	}
	if len(either) == 1 {
		return either[0]
	}
	return "(" + strings.Join(either, " OR ") + ")"
}

func splitWord(text, word string) []string {
	parts := []string{""}
	for _, w := range strings.Fields(text) {
		if strings.EqualFold(w, word) {
			parts = append(parts, "")
			continue
		}
		parts[len(parts)-1] = strings.TrimSpace(parts[len(parts)-1] + " " + w)
	}
	return slices.DeleteFunc(parts, func(p string) bool { return p == "" })
}

func debianName(name string) string {
	if id, ok := debianLicenses[strings.ToLower(name)]; ok {
		return id
	}
	return licenseRef(name)
}

// licenseRef refers to a license that SPDX does not list (SPDX 2.3, annex D).
func licenseRef(name string) string {
	return "LicenseRef-" + strings.Trim(notID().ReplaceAllString(strings.ReplaceAll(name, "+", "-plus"), "-"), "-")
}

// expression is what a package may say of its license: SPDX names, AND, OR,
// WITH and parentheses.
var expression = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\(*[A-Za-z0-9][A-Za-z0-9.+-]*\)*( (AND|OR|WITH) \(*[A-Za-z0-9][A-Za-z0-9.+-]*\)*)*$`)
})

// maxExpression bounds one, in bytes.
const maxExpression = 200

// spdxExpression is what a package says of its license if it has the form of
// an SPDX expression, else "".
func spdxExpression(said string) string {
	said = strings.TrimSpace(said)
	if len(said) > maxExpression || !expression().MatchString(said) || strings.Count(said, "(") != strings.Count(said, ")") {
		return ""
	}
	return said
}
