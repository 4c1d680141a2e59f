package reports

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// grypeReport is `grype -o json`.
type grypeReport struct {
	Matches    entries[grypeMatch] `json:"matches"`
	Descriptor struct {
		Name      string          `json:"name"`
		Version   string          `json:"version"`
		Timestamp time.Time       `json:"timestamp"`
		DB        json.RawMessage `json:"db"`
	} `json:"descriptor"`
}

type grypeMatch struct {
	Vulnerability struct {
		ID       string `json:"id"`
		Severity string `json:"severity"`
		Fix      struct {
			Versions []string `json:"versions"`
			State    string   `json:"state"`
		} `json:"fix"`
	} `json:"vulnerability"`
	Artifact struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"artifact"`
}

// grypeDatabase is where newer and older versions tell of what they looked in.
type grypeDatabase struct {
	Built  string `json:"built"`
	Status struct {
		Built string `json:"built"`
	} `json:"status"`
}

func readGrype(content []byte) (scan, error) {
	var r grypeReport
	if err := decodeInto(content, &r); err != nil {
		return scan{}, fmt.Errorf("grype: %w", err)
	}
	if r.Descriptor.Name != "grype" {
		return scan{}, fmt.Errorf("grype: descriptor.name is %q", r.Descriptor.Name)
	}
	s := scan{Vulnerabilities: Vulnerabilities{
		Scanner: "grype", Version: r.Descriptor.Version, ScannedAt: r.Descriptor.Timestamp, Findings: []Finding{},
	}}
	var db grypeDatabase
	if json.Unmarshal(r.Descriptor.DB, &db) == nil { // it only informs
		if s.database = db.Built; s.database == "" {
			s.database = db.Status.Built
		}
	}
	for _, m := range r.Matches {
		if m.Vulnerability.ID == "" || m.Artifact.Name == "" {
			return scan{}, fmt.Errorf("grype: a match without id or package")
		}
		s.Findings = append(s.Findings, Finding{
			ID: m.Vulnerability.ID, Severity: severity(m.Vulnerability.Severity), Package: m.Artifact.Name,
			Version: m.Artifact.Version, FixedIn: strings.Join(m.Vulnerability.Fix.Versions, ", "), State: m.state(),
		})
	}
	return s, nil
}

func (m grypeMatch) state() FixState {
	switch m.Vulnerability.Fix.State {
	case "fixed":
		return Fixed
	case "not-fixed":
		return NotFixed
	case "wont-fix":
		return WontFix
	}
	return StateUnknown
}
