package bake

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/opencontainers/go-digest"
)

// CycloneDXPredicate is the predicate type of a CycloneDX document.
const CycloneDXPredicate = "https://cyclonedx.org/bom"

// CycloneDX describes an image as a CycloneDX 1.6 document, with what SBOM
// says. The same image gives the same document, its serial number too.
func CycloneDX(image string, d digest.Digest, created time.Time, packages []Package) *cyclonedx.BOM {
	root := "image:" + image + "@" + d.String()
	bom := &cyclonedx.BOM{
		JSONSchema: "http://cyclonedx.org/schema/bom-1.6.schema.json", BOMFormat: cyclonedx.BOMFormat,
		SpecVersion: cyclonedx.SpecVersion1_6, SerialNumber: serial(root), Version: 1,
		Metadata: &cyclonedx.Metadata{
			Timestamp: created.UTC().Format(time.RFC3339),
			Tools:     &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{{Type: cyclonedx.ComponentTypeApplication, Name: "kiln"}}},
			Component: &cyclonedx.Component{
				BOMRef: root, Type: cyclonedx.ComponentTypeContainer, Name: image, Version: d.String(),
				Hashes: &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: d.Encoded()}},
			},
		},
	}
	components := make([]cyclonedx.Component, len(packages))
	refs := make([]string, len(packages))
	seen := map[string]int{}
	for i, p := range packages {
		c := p.cyclonedxComponent()
		if seen[c.BOMRef]++; seen[c.BOMRef] > 1 { // platforms may differ
			c.BOMRef += fmt.Sprintf("#%d", seen[c.BOMRef])
		}
		components[i], refs[i] = c, c.BOMRef
	}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: root, Dependencies: &refs}}
	return bom
}

func (one Package) cyclonedxComponent() cyclonedx.Component {
	c := cyclonedx.Component{
		BOMRef: one.PURL, Type: cyclonedx.ComponentTypeLibrary, Name: one.Name, Version: one.Version, PackageURL: one.PURL,
	}
	if one.SHA256 != "" {
		c.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: one.SHA256}}
	}
	if one.License != "" {
		c.Licenses = &cyclonedx.Licenses{{Expression: one.License}}
	}
	var notes []cyclonedx.Property
	if one.Source != "" {
		notes = append(notes, cyclonedx.Property{Name: "kiln:source", Value: one.Source})
	}
	if one.Path != "" {
		notes = append(notes, cyclonedx.Property{Name: "kiln:path", Value: one.Path})
	}
	if notes != nil {
		c.Properties = &notes
	}
	return c
}

// serial is a UUID of version 8 (RFC 9562) that follows from a name.
func serial(name string) string {
	u := sha256.Sum256([]byte("kiln CycloneDX " + name))
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
