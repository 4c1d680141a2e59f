package reports

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// spdxDocument is what is read of SPDX 2.3 JSON.
type spdxDocument struct {
	Version      string `json:"spdxVersion"`
	DataLicense  string `json:"dataLicense"`
	ID           string `json:"SPDXID"`
	Name         string `json:"name"`
	Namespace    string `json:"documentNamespace"`
	CreationInfo struct {
		Created  time.Time `json:"created"`
		Creators []string  `json:"creators"`
	} `json:"creationInfo"`
	Packages entries[spdxPackage] `json:"packages"`
}

type spdxPackage struct {
	ID           string `json:"SPDXID"`
	Name         string `json:"name"`
	Version      string `json:"versionInfo"`
	Download     string `json:"downloadLocation"`
	Purpose      string `json:"primaryPackagePurpose"`
	Concluded    string `json:"licenseConcluded"`
	Declared     string `json:"licenseDeclared"`
	ExternalRefs []struct {
		Type    string `json:"referenceType"`
		Locator string `json:"referenceLocator"`
	} `json:"externalRefs"`
}

// noPackages are purposes of what is no package of the image.
var noPackages = []string{"CONTAINER", "OPERATING-SYSTEM", "OPERATING_SYSTEM", "FILE"}

func parseSPDX(content []byte) (SBOM, error) {
	var doc spdxDocument
	if err := decodeInto(content, &doc); err != nil {
		return SBOM{}, fmt.Errorf("SPDX: %w", err)
	}
	if err := doc.check(); err != nil {
		return SBOM{}, fmt.Errorf("SPDX: %w", err)
	}
	out := SBOM{Format: SPDX, Version: doc.Version, Packages: []Package{}}
	ids := make(map[string]bool, len(doc.Packages))
	for i, p := range doc.Packages {
		if err := p.check(ids); err != nil {
			return SBOM{}, fmt.Errorf("SPDX: package %d: %w", i+1, err)
		}
		ids[p.ID] = true
		if !slices.Contains(noPackages, p.Purpose) {
			out.Packages = append(out.Packages, p.read())
		}
	}
	return out, nil
}

// check requires what SPDX 2.3, clauses 6.1 to 6.9, makes mandatory.
func (d spdxDocument) check() error {
	switch {
	case d.Version != "SPDX-2.3" && d.Version != "SPDX-2.2":
		return fmt.Errorf("version %q is not read, SPDX-2.3 is", d.Version)
	case d.DataLicense != "CC0-1.0":
		return fmt.Errorf("dataLicense %q, not CC0-1.0", d.DataLicense)
	case d.ID != "SPDXRef-DOCUMENT":
		return fmt.Errorf("the document's SPDXID is %q, not SPDXRef-DOCUMENT", d.ID)
	case d.Name == "" || d.Namespace == "":
		return fmt.Errorf("name and documentNamespace are required")
	case d.CreationInfo.Created.IsZero() || len(d.CreationInfo.Creators) == 0:
		return fmt.Errorf("creationInfo with created and creators is required")
	}
	return nil
}

func (p spdxPackage) check(known map[string]bool) error {
	switch {
	case p.Name == "":
		return fmt.Errorf("name is required")
	case !strings.HasPrefix(p.ID, "SPDXRef-"):
		return fmt.Errorf("%s: SPDXID %q does not begin with SPDXRef-", p.Name, p.ID)
	case known[p.ID]:
		return fmt.Errorf("%s: SPDXID %s is there twice", p.Name, p.ID)
	case p.Download == "":
		return fmt.Errorf("%s: downloadLocation is required", p.Name)
	}
	return nil
}

func (p spdxPackage) read() Package {
	out := Package{Name: p.Name, Version: p.Version, Licenses: conjuncts(p.Concluded)}
	if len(out.Licenses) == 0 {
		out.Licenses = conjuncts(p.Declared)
	}
	for _, ref := range p.ExternalRefs {
		if ref.Type == "purl" {
			out.PURL, out.Type = ref.Locator, typeOf(ref.Locator)
			break
		}
	}
	return out
}
