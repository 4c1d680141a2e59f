package bake

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// SBOMPredicate is the predicate type of an SPDX document.
const SBOMPredicate = "https://spdx.dev/Document"

const unstated = "NOASSERTION"

// SBOM describes an image as an SPDX 2.3 document: one package for the image,
// one for each package that it contains. The same image gives the same
// document.
func SBOM(image string, d digest.Digest, created time.Time, packages []Package) *spdx.Document {
	root := &spdx.Package{
		PackageName:             image,
		PackageSPDXIdentifier:   "Image",
		PackageVersion:          d.String(),
		PackageDownloadLocation: unstated,
		PackageLicenseConcluded: unstated,
		PackageLicenseDeclared:  unstated,
		PackageCopyrightText:    unstated,
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
	for _, one := range packages {
		p := one.spdxPackage()
		if ids[p.PackageSPDXIdentifier]++; ids[p.PackageSPDXIdentifier] > 1 { // platforms may differ
			p.PackageSPDXIdentifier += common.ElementID(fmt.Sprintf("-%d", ids[p.PackageSPDXIdentifier]))
		}
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, relate("Image", common.TypeRelationshipContains, p.PackageSPDXIdentifier))
	}
	doc.OtherLicenses = ownLicenses(packages)
	return doc
}

var notID = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`[^A-Za-z0-9.-]`)
})

// identifier is an SPDX one: libstdc++6 and libstdc--6 must differ.
func identifier(prefix, text string) common.ElementID {
	return common.ElementID(prefix + notID().ReplaceAllString(strings.ReplaceAll(text, "+", ".plus."), "-"))
}

func (one Package) spdxPackage() *spdx.Package {
	p := &spdx.Package{
		PackageName:             one.Name,
		PackageSPDXIdentifier:   identifier("Deb-", one.Name+"-"+one.Arch),
		PackageVersion:          one.Version,
		PackageDownloadLocation: unstated,
		PackageLicenseConcluded: unstated,
		PackageLicenseDeclared:  unstated,
		PackageCopyrightText:    unstated,
		PackageExternalReferences: []*spdx.PackageExternalReference{{
			Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: one.PURL,
		}},
	}
	switch {
	case one.Path != "":
		p.PackageSPDXIdentifier = identifier("Lib-", strings.TrimPrefix(one.PURL, "pkg:"))
		p.PackageSourceInfo = "described by " + one.Path
	case one.Source != "":
		p.PackageSourceInfo = "built from source package " + one.Source
	}
	if one.License != "" {
		p.PackageLicenseDeclared = one.License
	}
	if one.SHA256 != "" {
		p.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: one.SHA256}}
	}
	return p
}

// ownLicense finds references to licenses that SPDX does not list.
var ownLicense = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`LicenseRef-[A-Za-z0-9.-]+`)
})

// ownLicenses describes them, as SPDX 2.3, clause 10, requires.
func ownLicenses(packages []Package) []*spdx.OtherLicense {
	var list []*spdx.OtherLicense
	seen := map[string]bool{}
	for _, p := range packages {
		for _, id := range ownLicense().FindAllString(p.License, -1) {
			if !seen[id] {
				seen[id] = true
				list = append(list, &spdx.OtherLicense{
					LicenseIdentifier: id, LicenseName: strings.TrimPrefix(id, "LicenseRef-"),
					ExtractedText: "See the copyright file of " + p.Name + ".",
				})
			}
		}
	}
	return list
}

func relate(a common.ElementID, kind string, b common.ElementID) *spdx.Relationship {
	return &spdx.Relationship{
		RefA: common.DocElementID{ElementRefID: a}, RefB: common.DocElementID{ElementRefID: b}, Relationship: kind,
	}
}
