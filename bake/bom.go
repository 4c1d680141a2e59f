package bake

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Component is one installed Debian package, for SBOM and provenance.
type Component struct {
	Name    string
	Version string
	Arch    string
	Distro  string // "debian-12" or such, may be empty
	Source  string // source package, may be empty
	SHA256  string // of the .deb in hex, empty where only the dpkg status tells
}

// PURL is the package URL (purl-spec, type deb).
func (c Component) PURL() string {
	q := url.Values{"arch": {c.Arch}}
	if c.Distro != "" {
		q.Set("distro", c.Distro)
	}
	return fmt.Sprintf("pkg:deb/debian/%s@%s?%s", purlEscape(c.Name), purlEscape(c.Version), q.Encode())
}

// purlEscape percent-encodes a component as the purl-spec wants it, "+" too.
func purlEscape(s string) string { return strings.ReplaceAll(url.PathEscape(s), "+", "%2B") }

// Package is one that an SBOM lists, whatever its ecosystem.
type Package struct {
	Name    string
	Version string
	PURL    string
	Arch    string // of a Debian package
	Source  string // package that it was built from, may be empty
	SHA256  string // of the package's file in hex, may be empty
	License string // SPDX expression, "" if nothing says it for sure
	Path    string // absolute, where the image says so; "" of Debian packages
}

// Packages lists what an image is made of: the Debian packages, its parents'
// too, then those of languages whose descriptions lie in the image, as the
// scan saw them. The order follows from the content.
func (img *Image) Packages() []Package {
	licenses := map[string]string{}
	var found []foundPackage
	if img.Scan != nil {
		found = img.Scan.Packages
	}
	for _, f := range found {
		if f.Kind == licenseKind {
			licenses[f.Name] = f.License
		}
	}
	list := make([]Package, 0, len(img.Components)+len(found))
	for _, c := range img.Components {
		list = append(list, Package{
			Name: c.Name, Version: c.Version, PURL: c.PURL(), Arch: c.Arch, Source: c.Source, SHA256: c.SHA256,
			License: licenses[c.Name],
		})
	}
	var own []Package
	for _, f := range found {
		if f.Kind != licenseKind {
			own = append(own, Package{Name: f.Name, Version: f.Version, PURL: f.purl(), License: f.License, Path: f.Path})
		}
	}
	slices.SortFunc(own, func(a, b Package) int { return cmp.Or(cmp.Compare(a.PURL, b.PURL), cmp.Compare(a.Path, b.Path)) })
	return append(list, slices.CompactFunc(own, func(a, b Package) bool { return a.PURL == b.PURL })...)
}
