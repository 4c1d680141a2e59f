package reports

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// PlainSchema marks a list of findings that any scanner's output can be turned
// into: {"schema", "scanner":{"name","version"}, "scanned_at", "findings":[…]},
// each finding as Finding's JSON names have it.
const PlainSchema = "kiln.vulnerabilities/v1"

type plainReport struct {
	Schema  string `json:"schema"`
	Scanner struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"scanner"`
	ScannedAt time.Time         `json:"scanned_at"`
	Findings  *entries[Finding] `json:"findings"`
}

func readPlain(content []byte) (scan, error) {
	var r plainReport
	if err := decodeInto(content, &r); err != nil {
		return scan{}, fmt.Errorf("%s: %w", PlainSchema, err)
	}
	switch {
	case r.Schema != PlainSchema:
		return scan{}, fmt.Errorf("schema %q is not %s", r.Schema, PlainSchema)
	case r.Scanner.Name == "" || r.Findings == nil:
		return scan{}, errors.New(PlainSchema + ": scanner.name and findings are required")
	}
	s := scan{Vulnerabilities: Vulnerabilities{
		Scanner: r.Scanner.Name, Version: r.Scanner.Version, ScannedAt: r.ScannedAt, Findings: []Finding{},
	}}
	for i, f := range *r.Findings {
		if f.ID == "" || f.Package == "" {
			return scan{}, fmt.Errorf("%s: finding %d: id and package are required", PlainSchema, i+1)
		}
		if f.Severity = severity(string(f.Severity)); f.State == "" {
			f.State = StateUnknown
		}
		if !slices.Contains([]FixState{Fixed, NotFixed, WontFix, NotAffected, StateUnknown}, f.State) {
			return scan{}, fmt.Errorf("%s: finding %d: state %q is none", PlainSchema, i+1, f.State)
		}
		s.Findings = append(s.Findings, f)
	}
	return s, nil
}
