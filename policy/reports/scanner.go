package reports

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// scan is the output of a scanner.
type scan struct {
	Vulnerabilities
	database string // what it looked things up in, "" if it does not say
}

// uri names the scanner as cosign's predicate wants it.
func (s scan) uri() string {
	if s.Version == "" {
		return "pkg:generic/" + s.Scanner
	}
	return "pkg:generic/" + s.Scanner + "@" + s.Version
}

// readScan finds out whose output it is by its members.
func readScan(members map[string]json.RawMessage, content []byte) (scan, error) {
	has := func(name string) bool { return members[name] != nil }
	var read func([]byte) (scan, error)
	forms := 0
	for _, form := range []struct {
		is   bool
		read func([]byte) (scan, error)
	}{
		{has("SchemaVersion"), readTrivy},
		{has("matches") && has("descriptor"), readGrype},
		{has("results") && !has("runs"), readOSV},
		{has("runs"), readSARIF},
		{has("schema") && has("findings"), readPlain},
	} {
		if form.is {
			forms++
			read = form.read
		}
	}
	switch forms {
	case 0:
		return scan{}, errors.New("not the JSON of trivy, grype or osv-scanner, SARIF, or " + PlainSchema)
	case 1:
		s, err := read(content)
		if err == nil && len(s.Findings) > MaxEntries {
			err = fmt.Errorf("more than %d findings", MaxEntries)
		}
		return s, err
	}
	return scan{}, errors.New("it looks like the output of several scanners")
}

// severity reads a word, whatever its case.
func severity(word string) Severity {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "critical":
		return Critical
	case "high", "important":
		return High
	case "medium", "moderate":
		return Medium
	case "low":
		return Low
	case "negligible":
		return Negligible
	}
	return Unknown
}

// rated is the severity of a CVSS score (CVSS v3.1, section 5); Unknown if the
// text is none.
func rated(score string) Severity {
	v, err := strconv.ParseFloat(strings.TrimSpace(score), 64)
	switch {
	case err != nil || !(v > 0) || v > 10:
		return Unknown
	case v >= 9:
		return Critical
	case v >= 7:
		return High
	case v >= 4:
		return Medium
	}
	return Low
}
