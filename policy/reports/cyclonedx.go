package reports

import (
	"fmt"
	"slices"
)

// cyclonedxDocument is what is read of CycloneDX JSON.
type cyclonedxDocument struct {
	Format     string                      `json:"bomFormat"`
	Version    string                      `json:"specVersion"`
	Components entries[cyclonedxComponent] `json:"components"`
}

type cyclonedxComponent struct {
	Ref      string `json:"bom-ref"`
	Type     string `json:"type"`
	Group    string `json:"group"`
	Name     string `json:"name"`
	Version  string `json:"version"`
	PURL     string `json:"purl"`
	Licenses []struct {
		Expression string `json:"expression"`
		License    struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"license"`
	} `json:"licenses"`
	Components entries[cyclonedxComponent] `json:"components"`
}

// cyclonedxVersions are those that are read: what is read is the same in all.
var cyclonedxVersions = []string{"1.4", "1.5", "1.6", "1.7"}

// componentTypes are those of packages.
var componentTypes = []string{"application", "framework", "library", "platform", "firmware", "device-driver"}

// otherTypes are those of what is no package of an image.
var otherTypes = []string{"container", "operating-system", "file", "device", "machine-learning-model", "data", "cryptographic-asset"}

func parseCycloneDX(content []byte) (SBOM, error) {
	var doc cyclonedxDocument
	if err := decodeInto(content, &doc); err != nil {
		return SBOM{}, fmt.Errorf("CycloneDX: %w", err)
	}
	if doc.Format != "CycloneDX" {
		return SBOM{}, fmt.Errorf("CycloneDX: bomFormat is %q", doc.Format)
	}
	if !slices.Contains(cyclonedxVersions, doc.Version) {
		return SBOM{}, fmt.Errorf("CycloneDX: version %q is not read, 1.4 to 1.7 are", doc.Version)
	}
	r := cyclonedxReader{refs: map[string]bool{}, packages: []Package{}}
	if err := r.add(doc.Components); err != nil {
		return SBOM{}, fmt.Errorf("CycloneDX: %w", err)
	}
	return SBOM{Format: CycloneDX, Version: doc.Version, Packages: r.packages}, nil
}

type cyclonedxReader struct {
	refs     map[string]bool
	packages []Package
}

// add takes components and those inside them.
func (r *cyclonedxReader) add(list []cyclonedxComponent) error {
	for i, c := range list {
		switch {
		case c.Name == "":
			return fmt.Errorf("component %d: name is required", i+1)
		case c.Ref != "" && r.refs[c.Ref]:
			return fmt.Errorf("component %s: bom-ref %s is there twice", c.Name, c.Ref)
		case !slices.Contains(componentTypes, c.Type) && !slices.Contains(otherTypes, c.Type):
			return fmt.Errorf("component %s: type %q is none of CycloneDX", c.Name, c.Type)
		}
		r.refs[c.Ref] = true
		if slices.Contains(componentTypes, c.Type) {
			if r.packages = append(r.packages, c.read()); len(r.packages) > MaxEntries {
				return fmt.Errorf("more than %d components", MaxEntries)
			}
		}
		if err := r.add(c.Components); err != nil {
			return err
		}
	}
	return nil
}

func (c cyclonedxComponent) read() Package {
	out := Package{Name: c.Name, Version: c.Version, PURL: c.PURL, Type: typeOf(c.PURL), Licenses: []string{}}
	if c.Group != "" {
		out.Name = c.Group + "/" + c.Name
	}
	for _, l := range c.Licenses {
		switch {
		case l.Expression != "":
			out.Licenses = append(out.Licenses, conjuncts(l.Expression)...)
		case l.License.ID != "":
			out.Licenses = append(out.Licenses, l.License.ID)
		case l.License.Name != "":
			out.Licenses = append(out.Licenses, l.License.Name)
		}
	}
	return out
}
