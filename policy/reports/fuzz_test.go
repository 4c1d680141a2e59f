package reports

import (
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzSBOM holds that whatever is taken as an SBOM is within the bounds, that
// each package has a name, and that reading is deterministic.
func FuzzSBOM(f *testing.F) {
	for _, seed := range []string{spdxText, cyclonedxText, `{"spdxVersion":"SPDX-2.3"}`, `{"bomFormat":"CycloneDX","specVersion":"1.4"}`, `{"components":null}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		doc, err := ParseSBOM(content)
		if err != nil {
			return
		}
		if doc.Format == "" || len(doc.Packages) > MaxEntries {
			t.Errorf("taken: %+v", doc)
		}
		for _, p := range doc.Packages {
			if p.Name == "" || p.Licenses == nil {
				t.Errorf("taken: %+v", p)
			}
		}
		if again, err := ParseSBOM(content); err != nil || !reflect.DeepEqual(again, doc) {
			t.Errorf("read again it is %+v, %v", again, err)
		}
	})
}

// FuzzVulnerabilities holds that the predicate made of whatever is taken as a
// report reads back, with known severities and states only.
func FuzzVulnerabilities(f *testing.F) {
	for _, seed := range []string{trivyText, grypeText, osvText, sarifText, plainText, `{"scanner":{"result":{}},"metadata":{}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		predicate, err := VulnPredicate(content, scanTime)
		if err != nil {
			return
		}
		if !json.Valid(predicate) {
			t.Fatalf("no JSON: %s", predicate)
		}
		v, err := ParseVulnerabilities(predicate)
		if err != nil || v.Scanner == "" || v.ScannedAt.IsZero() {
			t.Fatalf("%+v, %v of %s", v, err, predicate)
		}
		for _, x := range v.Findings {
			if x.ID == "" || severity(string(x.Severity)) != x.Severity || x.State == "" {
				t.Errorf("taken: %+v", x)
			}
		}
	})
}
