package reports

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// sarifReport is SARIF 2.1.0, which has no place for packages and versions.
type sarifReport struct {
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool struct {
		Driver struct {
			Name    string             `json:"name"`
			Version string             `json:"version"`
			Rules   entries[sarifRule] `json:"rules"`
		} `json:"driver"`
	} `json:"tool"`
	Invocations []struct {
		End time.Time `json:"endTimeUtc"`
	} `json:"invocations"`
	Results *entries[sarifResult] `json:"results"`
}

type sarifRule struct {
	ID         string `json:"id"`
	Properties struct {
		Severity json.RawMessage `json:"security-severity"` // a CVSS score, text or number
	} `json:"properties"`
}

type sarifResult struct {
	RuleID    string `json:"ruleId"`
	Locations []struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
		} `json:"physicalLocation"`
	} `json:"locations"`
}

// sarifScanners look for vulnerabilities: SARIF of any other tool, in which
// nothing is found, says nothing about them.
var sarifScanners = []string{"trivy", "grype", "osv-scanner"}

func readSARIF(content []byte) (scan, error) {
	var r sarifReport
	if err := decodeInto(content, &r); err != nil {
		return scan{}, fmt.Errorf("SARIF: %w", err)
	}
	if r.Version != "2.1.0" {
		return scan{}, fmt.Errorf("SARIF: version %q is not read, 2.1.0 is", r.Version)
	}
	if len(r.Runs) != 1 {
		return scan{}, fmt.Errorf("SARIF: %d runs, not one", len(r.Runs))
	}
	run := r.Runs[0]
	driver := run.Tool.Driver
	name := strings.ToLower(driver.Name)
	if !slices.Contains(sarifScanners, name) {
		return scan{}, fmt.Errorf("SARIF: %q is not known to look for vulnerabilities (known are %s)", driver.Name, strings.Join(sarifScanners, ", "))
	}
	if run.Results == nil {
		return scan{}, errors.New("SARIF: the run has no results")
	}
	s := scan{Vulnerabilities: Vulnerabilities{Scanner: name, Version: driver.Version, Findings: []Finding{}}}
	if len(run.Invocations) > 0 {
		s.ScannedAt = run.Invocations[0].End
	}
	scores := map[string]Severity{}
	for _, rule := range driver.Rules {
		scores[rule.ID] = rated(strings.Trim(string(rule.Properties.Severity), `"`))
	}
	for _, result := range *run.Results {
		if result.RuleID == "" {
			return scan{}, errors.New("SARIF: a result without ruleId")
		}
		f := Finding{ID: result.RuleID, Severity: Unknown, State: StateUnknown}
		if known, ok := scores[result.RuleID]; ok {
			f.Severity = known
		}
		if len(result.Locations) > 0 {
			f.Package = result.Locations[0].Physical.Artifact.URI
		}
		s.Findings = append(s.Findings, f)
	}
	return s, nil
}
