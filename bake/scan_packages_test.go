package bake

import (
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"kiln/layers"
)

const copyrightText = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: x

Files: *
Copyright: somebody
License: GPL-2+ or Artistic

Files: debian/*
License: Expat
 text

License: Apache-2.0
 only a text
`

// What files say of packages is found wherever it is certain, and nowhere else.
func TestScanPackages(t *testing.T) {
	found := scanned(t,
		memberFile{name: "usr/share/doc/x/copyright", content: copyrightText},
		memberFile{name: "usr/share/doc/y/copyright", content: "This is free software.\n"},
		memberFile{name: "srv/node_modules/@acme/a/package.json", content: `{"name":"@acme/a","version":"1.2.3","license":"MIT"}`},
		memberFile{name: "srv/node_modules/b/package.json", content: `{"name":"b","version":"2","license":{"type":"MIT"}}`},
		memberFile{name: "srv/node_modules/b/lib/package.json", content: `{"name":"inner","version":"0"}`},
		memberFile{name: "srv/node_modules/c/package.json", content: `{"name":`},
		memberFile{name: "srv/node_modules/large/package.json", content: `{"name":"l","version":"1","x":"` + strings.Repeat("x", maxDescription) + `"}`},
		memberFile{name: "srv/package.json", content: `{"name":"own","version":"1"}`},
		memberFile{name: "usr/share/nodejs/d/node_modules/e/package.json", content: `{"name":"e","version":"1"}`},
		memberFile{name: "usr/lib/python3/dist-packages/f.egg-info/PKG-INFO", content: "Name: f\nVersion: 1\n"},
		memberFile{name: "opt/g.dist-info/METADATA", content: "Metadata-Version: 2.4\nName: g_G\nVersion: 3\nLicense: all\n rights\nLicense-Expression: MIT OR Apache-2.0\n\nName: not\n"},
		memberFile{name: "opt/h.dist-info/METADATA", content: "Name: h\n\nVersion: 1\n"},
		memberFile{name: "bin/x", content: "\x7fELF\x00 no Go\x00"},
		memberFile{name: "bin/y", content: "\x7fELF\x00 Go\x00\x00 but broken"},
	)
	want := []foundPackage{
		{Path: "/opt/g.dist-info/METADATA", Kind: "pypi", Name: "g_G", Version: "3", License: "MIT OR Apache-2.0"},
		{Path: "/srv/node_modules/@acme/a/package.json", Kind: "npm", Name: "@acme/a", Version: "1.2.3", License: "MIT"},
		{Path: "/srv/node_modules/b/package.json", Kind: "npm", Name: "b", Version: "2"},
		{Path: "/usr/share/doc/x/copyright", Kind: licenseKind, Name: "x", License: "(GPL-2.0-or-later OR LicenseRef-Artistic) AND MIT"},
	}
	if !reflect.DeepEqual(found.Packages, want) {
		t.Errorf("found %+v\nwant %+v", found.Packages, want)
	}
}

// A Go program says which modules it is made of.
func TestScanGoModules(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	found := scanned(t, memberFile{name: "usr/local/bin/x", content: string(program)})
	has := func(name, version string) bool {
		return slices.ContainsFunc(found.Packages, func(f foundPackage) bool {
			return f.Kind == "golang" && f.Name == name && (version == "" || f.Version == version) && f.Path == "/usr/local/bin/x"
		})
	}
	if !has("stdlib", strings.TrimPrefix(runtime.Version(), "go")) || !has("kiln", "") {
		t.Errorf("found %+v", found.Packages)
	}
}

// What a layer above removes or replaces is in the image no more.
func TestUncovered(t *testing.T) {
	img := func(files ...memberFile) []byte { return archiveOf(t, files...) }
	above, err := layers.IndexTar(t.Context(), strings.NewReader(string(img(
		memberFile{name: "srv/node_modules/a/package.json", content: "{}"},
		memberFile{name: "srv/node_modules/.wh.b"},
	))))
	if err != nil {
		t.Fatal(err)
	}
	of := func(names ...string) (list []foundPackage) {
		for _, n := range names {
			list = append(list, foundPackage{Path: "/srv/node_modules/" + n + "/package.json", Kind: "npm", Name: n, Version: "1"})
		}
		return list
	}
	if got := uncovered(of("a", "b", "c"), above, of("d")); !reflect.DeepEqual(got, of("c", "d")) {
		t.Errorf("left are %+v", got)
	}
}

func TestDebianLicense(t *testing.T) {
	head := "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: "
	for text, want := range map[string]string{
		"":                           "",
		"Expat\n":                    "",
		head + "Expat":               "MIT",
		head + "GPL-2+ and LGPL-2.1": "GPL-2.0-or-later AND LGPL-2.1-only",
		head + "GPL-2+ or Expat and BSD-2-clause":    "(GPL-2.0-or-later OR MIT AND BSD-2-Clause)",
		head + "GPL-2+, or Expat":                    "LicenseRef-GPL-2-plus--or-Expat",
		head + "GPL-2 with OpenSSL exception":        "LicenseRef-GPL-2-with-OpenSSL-exception",
		head + "GPL-2+\n\nFiles: x\nLicense: GPL-2+": "GPL-2.0-or-later",
		head + "": "",
	} {
		if got := debianLicense([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for said, want := range map[string]string{
		"MIT": "MIT", "(MIT OR GPL-2.0-only)": "(MIT OR GPL-2.0-only)", "SEE LICENSE IN x": "", "MIT/X11": "", "": "", "(MIT": "",
	} {
		if got := spdxExpression(said); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
}
