package bake

import (
	"bufio"
	"bytes"
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"kiln/layers"
)

// foundPackage is what a file of a layer says of a package.
type foundPackage struct {
	Path    string `json:"path"` // of the file, absolute
	Kind    string `json:"kind"` // purl type, or licenseKind
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	License string `json:"license,omitempty"` // SPDX expression
}

// licenseKind is the license of a Debian package.
const licenseKind = "license"

// Bounds on what describes packages, in bytes.
const (
	maxDescription = 1 << 20
	maxGoBinary    = 256 << 20
)

// purl of a language package (purl-spec).
func (f foundPackage) purl() string {
	var name []string
	for _, part := range strings.Split(f.Name, "/") {
		if f.Kind == "npm" && strings.HasPrefix(part, "@") {
			part = "%40" + purlEscape(part[1:])
		} else {
			part = purlEscape(part)
		}
		name = append(name, part)
	}
	id := "pkg:" + f.Kind + "/" + strings.Join(name, "/")
	if f.Kind == "pypi" {
		id = strings.ToLower(strings.ReplaceAll(id, "_", "-"))
	}
	if f.Version != "" {
		id += "@" + purlEscape(f.Version)
	}
	return id
}

// description takes the text of a file that describes packages.
type description struct {
	name  string
	limit int
	text  bytes.Buffer
	over  bool
	parse func(name string, text []byte) []foundPackage
}

// Write implements io.Writer and keeps no more than the limit.
func (d *description) Write(p []byte) (int, error) {
	if d.over = d.over || d.text.Len()+len(p) > d.limit; !d.over {
		d.text.Write(p)
	}
	return len(p), nil
}

// packages that the file describes; none of one that is too large or no
// description after all.
func (d *description) packages() []foundPackage {
	if d.over {
		return nil
	}
	return d.parse(d.name, d.text.Bytes())
}

var (
	nodePackage = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`/node_modules/(@[^/]+/)?[^/@]+/package\.json$`)
	})
	pythonPackage = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`/[^/]+\.(dist-info/METADATA|egg-info/PKG-INFO)$`)
	})
	copyrightFile = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^/usr/share/doc/[^/]+/copyright$`)
	})
)

// debianTrees hold files of Debian packages, which dpkg tells of.
var debianTrees = []string{"/usr/share/nodejs/", "/usr/lib/nodejs/", "/usr/lib/python3/"}

// descriptionOf tells whether a file describes packages, by its name and how
// it begins; nil for almost all.
func descriptionOf(name string, head []byte) *description {
	d := &description{name: name, limit: maxDescription}
	switch {
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		if !bytes.Contains(head, []byte("Go\x00\x00")) { // the note of its build id
			return nil
		}
		d.limit, d.parse = maxGoBinary, goModules
	case slices.ContainsFunc(debianTrees, func(dir string) bool { return strings.HasPrefix(name, dir) }):
		return nil
	case strings.HasSuffix(name, "/copyright") && copyrightFile().MatchString(name):
		d.parse = copyrightLicense
	case strings.HasSuffix(name, "/package.json") && nodePackage().MatchString(name):
		d.parse = nodeModule
	case (strings.HasSuffix(name, "/METADATA") || strings.HasSuffix(name, "/PKG-INFO")) && pythonPackage().MatchString(name):
		d.parse = pythonDistribution
	default:
		return nil
	}
	return d
}

// goModules are the modules of a Go program, as its build information lists
// them.
func goModules(name string, program []byte) []foundPackage {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return nil
	}
	list := []foundPackage{{Path: name, Kind: "golang", Name: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go")}}
	if info.Main.Path != "" {
		list = append(list, foundPackage{Path: name, Kind: "golang", Name: info.Main.Path, Version: strings.Trim(info.Main.Version, "()")})
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		list = append(list, foundPackage{Path: name, Kind: "golang", Name: m.Path, Version: m.Version})
	}
	return list
}

// nodeModule is an installed npm package.
func nodeModule(name string, text []byte) []foundPackage {
	var p struct {
		Name, Version string
		License       json.RawMessage
	}
	if json.Unmarshal(text, &p) != nil || p.Name == "" || p.Version == "" {
		return nil
	}
	f := foundPackage{Path: name, Kind: "npm", Name: p.Name, Version: p.Version}
	var license string
	if json.Unmarshal(p.License, &license) == nil {
		f.License = spdxExpression(license)
	}
	return []foundPackage{f}
}

// pythonDistribution is an installed Python package (PEP 566, PEP 639).
func pythonDistribution(name string, text []byte) []foundPackage {
	f := foundPackage{Path: name, Kind: "pypi"}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() && lines.Text() != "" {
		key, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Name":
			f.Name = value
		case "Version":
			f.Version = value
		case "License-Expression":
			f.License = spdxExpression(value)
		case "License":
			f.License = cmp.Or(f.License, spdxExpression(value))
		}
	}
	if f.Name == "" || f.Version == "" {
		return nil
	}
	return []foundPackage{f}
}

// comparePackages orders what was found in a layer.
func comparePackages(a, b foundPackage) int {
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
}

// uncovered are the packages that are left when a layer lies on top, with its
// own.
func uncovered(below []foundPackage, above *layers.Index, own []foundPackage) []foundPackage {
	left := slices.DeleteFunc(slices.Clone(below), func(f foundPackage) bool {
		return above.Hides(strings.TrimPrefix(f.Path, "/"))
	})
	return append(left, own...)
}

// copyrightLicense is that of a Debian package.
func copyrightLicense(name string, text []byte) []foundPackage {
	license := debianLicense(text)
	if license == "" {
		return nil
	}
	return []foundPackage{{Path: name, Kind: licenseKind, Name: path.Base(path.Dir(name)), License: license}}
}
