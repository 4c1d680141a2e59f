package bake

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// SBOMPredicate is the predicate type of an SPDX document.
const SBOMPredicate = "https://spdx.dev/Document"

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

// SBOM describes an image as an SPDX 2.3 document: one package for the image,
// one for each Debian package that it contains. The same image gives the same
// document.
func SBOM(image string, d digest.Digest, created time.Time, components []Component) *spdx.Document {
	root := &spdx.Package{
		PackageName:             image,
		PackageSPDXIdentifier:   "Image",
		PackageVersion:          d.String(),
		PackageDownloadLocation: "NOASSERTION",
		PackageLicenseConcluded: "NOASSERTION",
		PackageLicenseDeclared:  "NOASSERTION",
		PackageCopyrightText:    "NOASSERTION",
		PrimaryPackagePurpose:   "CONTAINER",
		PackageChecksums:        []common.Checksum{{Algorithm: common.SHA256, Value: d.Encoded()}},
	}
	doc := &spdx.Document{
		SPDXVersion:       spdx.Version,
		DataLicense:       spdx.DataLicense,
		SPDXIdentifier:    "DOCUMENT",
		DocumentName:      image,
		DocumentNamespace: "urn:kiln:sbom:" + image + "@" + d.String(),
		CreationInfo: &spdx.CreationInfo{
			Created:  created.UTC().Format(time.RFC3339),
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "kiln"}},
		},
		Packages:      []*spdx.Package{root},
		Relationships: []*spdx.Relationship{relate("DOCUMENT", common.TypeRelationshipDescribe, "Image")},
	}
	ids := map[common.ElementID]int{}
	for _, c := range components {
		p := c.spdxPackage()
		if ids[p.PackageSPDXIdentifier]++; ids[p.PackageSPDXIdentifier] > 1 { // platforms may differ
			p.PackageSPDXIdentifier += common.ElementID(fmt.Sprintf("-%d", ids[p.PackageSPDXIdentifier]))
		}
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, relate("Image", common.TypeRelationshipContains, p.PackageSPDXIdentifier))
	}
	return doc
}

var notID = regexp.MustCompile(`[^A-Za-z0-9.-]`)

func (c Component) spdxPackage() *spdx.Package {
	p := &spdx.Package{
		PackageName:             c.Name,
		PackageSPDXIdentifier:   common.ElementID("Deb-" + notID.ReplaceAllString(c.Name+"-"+c.Arch, "-")),
		PackageVersion:          c.Version,
		PackageDownloadLocation: "NOASSERTION",
		PackageLicenseConcluded: "NOASSERTION",
		PackageLicenseDeclared:  "NOASSERTION",
		PackageCopyrightText:    "NOASSERTION",
		PackageExternalReferences: []*spdx.PackageExternalReference{{
			Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: c.PURL(),
		}},
	}
	if strings.Contains(c.Name, "+") { // libstdc++6 and libstdc--6 must differ
		p.PackageSPDXIdentifier = common.ElementID("Deb-" + notID.ReplaceAllString(strings.ReplaceAll(c.Name, "+", ".plus.")+"-"+c.Arch, "-"))
	}
	if c.Source != "" {
		p.PackageSourceInfo = "built from source package " + c.Source
	}
	if c.SHA256 != "" {
		p.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: c.SHA256}}
	}
	return p
}

func relate(a common.ElementID, kind string, b common.ElementID) *spdx.Relationship {
	return &spdx.Relationship{
		RefA: common.DocElementID{ElementRefID: a}, RefB: common.DocElementID{ElementRefID: b}, Relationship: kind,
	}
}
