package trustfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"kiln/registry/hclfile"
	"kiln/sign"
)

// maxPredicate bounds a predicate type, in bytes.
const maxPredicate = 300

// names are short for the predicate types that people ask for, those of cosign
// among them.
func names() map[string]string {
	return map[string]string{
		"provenance":      sign.ProvenancePredicate,
		"slsaprovenance1": sign.ProvenancePredicate,
		"spdx":            sign.SPDXPredicate,
		"spdxjson":        sign.SPDXPredicate,
		"cyclonedx":       sign.CycloneDXPredicate,
		"test":            sign.TestPredicate,
		"test-result":     sign.TestPredicate,
		"vuln":            sign.VulnPredicate,
		"openvex":         "https://openvex.dev/ns",
		"vsa":             sign.SummaryPredicate,
	}
}

// PredicateType reads a predicate type: a URI, or a short name such as
// provenance, spdx, cyclonedx, test or vuln. What is neither, and what never is
// an attestation, is an error: asking for it would prove nothing.
func PredicateType(s string) (string, error) {
	known := names()
	if uri, ok := known[s]; ok {
		return uri, nil
	}
	short := slices.Sorted(maps.Keys(known))
	switch {
	case s == sign.SignaturePredicate || strings.HasPrefix(s, "urn:kiln:"):
		return "", fmt.Errorf("predicate type %.80q is never that of an attestation", s)
	case !strings.Contains(s, ":") || len(s) > maxPredicate || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "", fmt.Errorf("unknown predicate type %.80q: write a URI or one of %s%s", s, strings.Join(short, ", "), hclfile.DidYouMean(s, short))
	}
	return s, nil
}

// predicates are predicate types, by URI or by short name.
func (b block) predicates(name string) []string {
	var list []string
	for _, s := range b.texts(name) {
		uri, err := PredicateType(s)
		if err != nil {
			b.Wrong(name, "%v", err)
			return nil
		}
		if !slices.Contains(list, uri) {
			list = append(list, uri)
		}
	}
	return list
}
