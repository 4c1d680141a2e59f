package reports

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Format is that of an SBOM.
type Format string

// The formats that are read.
const (
	SPDX      Format = "spdx"
	CycloneDX Format = "cyclonedx"
)

// SBOM is what a software bill of materials lists.
type SBOM struct {
	Format   Format
	Version  string // of the format: "SPDX-2.3", "1.6"
	Packages []Package
}

// Package is one that an SBOM lists. The image itself, its operating system
// and single files are none.
type Package struct {
	Name    string
	Version string
	Type    string // that of the package URL: deb, npm, pypi, golang…; "" without one
	PURL    string
	// Licenses are SPDX expressions that all apply, or names; never nil.
	Licenses []string
}

// ParseSBOM reads an SPDX 2.2 or 2.3 or a CycloneDX 1.4 to 1.7 document in
// JSON, and refuses what is neither, lacks what its format requires, or goes
// beyond the bounds.
func ParseSBOM(content []byte) (SBOM, error) {
	members, err := object(content)
	if err != nil {
		return SBOM{}, fmt.Errorf("SBOM: %w", err)
	}
	_, spdx := members["spdxVersion"]
	_, cyclone := members["bomFormat"]
	switch {
	case spdx && cyclone:
		err = errors.New("it says that it is SPDX and CycloneDX")
	case spdx:
		return parseSPDX(content)
	case cyclone:
		return parseCycloneDX(content)
	default:
		err = errors.New("neither SPDX JSON (no spdxVersion) nor CycloneDX JSON (no bomFormat)")
	}
	return SBOM{}, fmt.Errorf("SBOM: %w", err)
}

// typeOf is the type of a package URL, "" if it is none.
func typeOf(purl string) string {
	rest, ok := strings.CutPrefix(purl, "pkg:")
	if !ok {
		return ""
	}
	kind, _, _ := strings.Cut(strings.TrimLeft(rest, "/"), "/")
	return strings.ToLower(kind)
}

// conjuncts are the parts of a license expression that all apply.
func conjuncts(expression string) []string {
	expression = strings.TrimSpace(expression)
	parts := []string{}
	if expression == "NOASSERTION" || expression == "NONE" {
		return parts
	}
	depth, start := 0, 0
	take := func(end int) {
		if part := strings.TrimSpace(expression[start:end]); part != "" {
			parts = append(parts, part)
		}
	}
	for i := range len(expression) {
		switch rest := expression[i:]; {
		case rest[0] == '(':
			depth++
		case rest[0] == ')':
			depth--
		case depth == 0 && operator(rest, " OR "): // binds less than AND: no part stands alone
			return []string{expression}
		case depth == 0 && operator(rest, " AND "):
			take(i)
			start = i + len(" AND ")
		}
	}
	if start <= len(expression) {
		take(len(expression))
	}
	return parts
}

func operator(text, name string) bool {
	return len(text) >= len(name) && strings.EqualFold(text[:len(name)], name)
}

func decodeInto(content []byte, into any) error {
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	return nil
}
