package reports

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// trivyReport is `trivy image --format json`, schema version 2.
type trivyReport struct {
	SchemaVersion int
	CreatedAt     time.Time
	Trivy         struct{ Version string }
	Results       entries[trivyResult]
}

type trivyResult struct {
	Target, Class   string
	Vulnerabilities entries[trivyVulnerability]
}

type trivyVulnerability struct {
	VulnerabilityID, PkgName, InstalledVersion, FixedVersion, Status, Severity string
}

func readTrivy(content []byte) (scan, error) {
	var r trivyReport
	if err := decodeInto(content, &r); err != nil {
		return scan{}, fmt.Errorf("trivy: %w", err)
	}
	if r.SchemaVersion != 2 {
		return scan{}, fmt.Errorf("trivy: schema version %d is not read, 2 is", r.SchemaVersion)
	}
	s := scan{Vulnerabilities: Vulnerabilities{Scanner: "trivy", Version: r.Trivy.Version, ScannedAt: r.CreatedAt, Findings: []Finding{}}}
	looked := false // a scan for secrets or settings lists none of these
	for _, result := range r.Results {
		looked = looked || result.Class == "os-pkgs" || result.Class == "lang-pkgs"
		for _, v := range result.Vulnerabilities {
			if v.VulnerabilityID == "" || v.PkgName == "" {
				return scan{}, fmt.Errorf("trivy: %s: a vulnerability without id or package", result.Target)
			}
			s.Findings = append(s.Findings, Finding{
				ID: v.VulnerabilityID, Severity: severity(v.Severity), Package: v.PkgName,
				Version: v.InstalledVersion, FixedIn: v.FixedVersion, State: v.state(),
			})
		}
	}
	if !looked {
		return scan{}, errors.New("trivy: it looked at no packages (was --scanners vuln on?)")
	}
	return s, nil
}

func (v trivyVulnerability) state() FixState {
	switch strings.ToLower(v.Status) {
	case "fixed":
		return Fixed
	case "affected", "under_investigation", "fix_deferred":
		return NotFixed
	case "will_not_fix", "end_of_life":
		return WontFix
	case "not_affected":
		return NotAffected
	}
	if v.FixedVersion != "" {
		return Fixed
	}
	return StateUnknown
}
