package reports

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Vulnerabilities is what a scanner found in an image.
type Vulnerabilities struct {
	Scanner   string // name, such as "trivy"
	Version   string // of the scanner, "" if it does not say
	ScannedAt time.Time
	Findings  []Finding
}

// Finding is one vulnerability of one package.
type Finding struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Package  string   `json:"package"`
	Version  string   `json:"version"`
	FixedIn  string   `json:"fixed_in"` // "" if no version is known
	State    FixState `json:"state"`
}

// Severity of a vulnerability; what no rule knows is Unknown.
type Severity string

// The severities.
const (
	Critical   Severity = "critical"
	High       Severity = "high"
	Medium     Severity = "medium"
	Low        Severity = "low"
	Negligible Severity = "negligible"
	Unknown    Severity = "unknown"
)

// FixState says whether there is a version without the vulnerability.
type FixState string

// The states; what a scanner leaves open is StateUnknown.
const (
	Fixed        FixState = "fixed"
	NotFixed     FixState = "not_fixed"
	WontFix      FixState = "wont_fix"
	NotAffected  FixState = "not_affected"
	StateUnknown FixState = "unknown"
)

// ErrNoTime says that a scanner's output does not tell when it was made.
var ErrNoTime = errors.New("the report does not say when the scan was made")

// vulnPredicate is cosign's predicate (COSIGN_VULN_ATTESTATION_SPEC).
type vulnPredicate struct {
	Invocation struct {
		Parameters json.RawMessage `json:"parameters,omitempty"`
		URI        string          `json:"uri"`
		EventID    string          `json:"event_id"`
		BuilderID  string          `json:"builder.id"`
	} `json:"invocation"`
	Scanner struct {
		URI     string `json:"uri"`
		Version string `json:"version"`
		DB      struct {
			URI     string `json:"uri"`
			Version string `json:"version"`
		} `json:"db"`
		Result json.RawMessage `json:"result"`
	} `json:"scanner"`
	Metadata struct {
		ScanStartedOn  time.Time `json:"scanStartedOn"`
		ScanFinishedOn time.Time `json:"scanFinishedOn"`
	} `json:"metadata"`
}

// ParseVulnerabilities reads a cosign vuln predicate. A result that is not of
// a scanner that it knows is an error: see VulnPredicate.
func ParseVulnerabilities(predicate []byte) (Vulnerabilities, error) {
	members, err := object(predicate)
	if err == nil && !isVulnPredicate(members) {
		err = errors.New("no vuln predicate: it has no scanner and metadata")
	}
	if err != nil {
		return Vulnerabilities{}, fmt.Errorf("vulnerability report: %w", err)
	}
	v, err := parseVulnPredicate(predicate)
	if err != nil {
		return Vulnerabilities{}, fmt.Errorf("vulnerability report: %w", err)
	}
	return v, nil
}

func parseVulnPredicate(predicate []byte) (Vulnerabilities, error) {
	var p vulnPredicate
	if err := decodeInto(predicate, &p); err != nil {
		return Vulnerabilities{}, err
	}
	if p.Metadata.ScanFinishedOn.IsZero() {
		return Vulnerabilities{}, fmt.Errorf("metadata.scanFinishedOn: %w", ErrNoTime)
	}
	members, err := object(p.Scanner.Result)
	if err != nil {
		return Vulnerabilities{}, fmt.Errorf("scanner.result: %w", err)
	}
	s, err := readScan(members, p.Scanner.Result)
	if err != nil {
		return Vulnerabilities{}, fmt.Errorf("scanner.result: %w", err)
	}
	s.ScannedAt = p.Metadata.ScanFinishedOn.UTC()
	if s.Version == "" {
		s.Version = p.Scanner.Version
	}
	return s.Vulnerabilities, nil
}

// VulnPredicate makes a cosign vuln predicate of what a scanner wrote: the
// JSON of trivy, grype or osv-scanner, SARIF of one of these, kiln's own plain
// list, or such a predicate, which stays as it is. at is the time of the scan
// where the output does not tell it; ErrNoTime if it is zero, too.
func VulnPredicate(content []byte, at time.Time) (json.RawMessage, error) {
	p, err := vulnPredicateOf(bytes.TrimSpace(content), at)
	if err != nil {
		return nil, fmt.Errorf("vulnerability report: %w", err)
	}
	return p, nil
}

func vulnPredicateOf(content []byte, at time.Time) (json.RawMessage, error) {
	members, err := object(content)
	if err != nil {
		return nil, err
	}
	if isVulnPredicate(members) {
		_, err := parseVulnPredicate(content)
		return content, err
	}
	s, err := readScan(members, content)
	if err != nil {
		return nil, err
	}
	if s.ScannedAt.IsZero() {
		if s.ScannedAt = at; at.IsZero() {
			return nil, ErrNoTime
		}
	}
	var p vulnPredicate
	p.Scanner.URI, p.Scanner.Version, p.Scanner.Result = s.uri(), s.Version, content
	p.Scanner.DB.Version = s.database
	p.Metadata.ScanStartedOn = s.ScannedAt.UTC()
	p.Metadata.ScanFinishedOn = p.Metadata.ScanStartedOn
	return json.Marshal(p)
}

func isVulnPredicate(members map[string]json.RawMessage) bool {
	return members["scanner"] != nil && members["metadata"] != nil
}
