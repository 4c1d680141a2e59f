package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"kiln/policy/reports"
	"kiln/sign"
)

// saying is one line of what a verified attestation says; "" of types that are
// shown elsewhere or not known.
func saying(kind string, predicate []byte) string {
	switch kind {
	case sign.SPDXPredicate, sign.CycloneDXPredicate:
		sbom, err := reports.ParseSBOM(predicate)
		if err != nil {
			return "cannot be read: " + err.Error()
		}
		return fmt.Sprintf("%s, %s", sbom.Version, counted(len(sbom.Packages), "package"))
	case sign.VulnPredicate:
		v, err := reports.ParseVulnerabilities(predicate)
		if err != nil {
			return "cannot be read: " + err.Error()
		}
		return fmt.Sprintf("%s, %s, scanned %s", v.Scanner, bySeverity(v.Findings), v.ScannedAt.Format(time.RFC3339))
	case sign.SummaryPredicate:
		var p struct {
			VerificationResult string `json:"verificationResult"`
			TimeVerified       string `json:"timeVerified"`
			ResourceURI        string `json:"resourceUri"`
		}
		if json.Unmarshal(predicate, &p) == nil {
			return fmt.Sprintf("%s for %s at %s", p.VerificationResult, p.ResourceURI, p.TimeVerified)
		}
	}
	return ""
}

// bySeverity counts findings, the worst first.
func bySeverity(found []reports.Finding) string {
	if len(found) == 0 {
		return "no findings"
	}
	counts := map[reports.Severity]int{}
	for _, f := range found {
		counts[f.Severity]++
	}
	var parts []string
	for _, s := range []reports.Severity{reports.Critical, reports.High, reports.Medium, reports.Low, reports.Negligible, reports.Unknown} {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	return fmt.Sprintf("%s (%s)", counted(len(found), "finding"), strings.Join(parts, ", "))
}
