package reports

import (
	"errors"
	"fmt"
	"slices"
)

// osvReport is `osv-scanner --format json`. It does not tell when it was made.
type osvReport struct {
	Results entries[struct {
		Packages entries[osvPackage] `json:"packages"`
	}] `json:"results"`
}

type osvPackage struct {
	Package struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"package"`
	Vulnerabilities entries[osvVulnerability] `json:"vulnerabilities"`
	Groups          []osvGroup                `json:"groups"`
}

// osvGroup is one vulnerability under several names.
type osvGroup struct {
	IDs         []string `json:"ids"`
	MaxSeverity string   `json:"max_severity"` // a CVSS score
}

type osvVulnerability struct {
	ID       string `json:"id"`
	Database struct {
		Severity string `json:"severity"`
	} `json:"database_specific"`
	Affected []struct {
		Package struct {
			Name string `json:"name"`
		} `json:"package"`
		Ranges []struct {
			Events []struct {
				Fixed string `json:"fixed"`
			} `json:"events"`
		} `json:"ranges"`
	} `json:"affected"`
}

func readOSV(content []byte) (scan, error) {
	var r osvReport
	if err := decodeInto(content, &r); err != nil {
		return scan{}, fmt.Errorf("osv-scanner: %w", err)
	}
	s := scan{Vulnerabilities: Vulnerabilities{Scanner: "osv-scanner", Findings: []Finding{}}}
	looked := false // without --all-packages only what is vulnerable is listed
	for _, result := range r.Results {
		for _, p := range result.Packages {
			nameless := func(v osvVulnerability) bool { return v.ID == "" }
			if p.Package.Name == "" || slices.ContainsFunc(p.Vulnerabilities, nameless) {
				return scan{}, errors.New("osv-scanner: a package without a name or a vulnerability without an id")
			}
			looked = true
			if s.Findings = append(s.Findings, p.findings()...); len(s.Findings) > MaxEntries {
				return scan{}, fmt.Errorf("osv-scanner: more than %d findings", MaxEntries)
			}
		}
	}
	if !looked {
		return scan{}, errors.New("osv-scanner: it lists no packages (give it --all-packages, so that one sees that it looked)")
	}
	return s, nil
}

// findings are one for each vulnerability, under the first of its names.
func (p osvPackage) findings() []Finding {
	groups := map[string]osvGroup{}
	for _, g := range p.Groups {
		for _, id := range g.IDs {
			groups[id] = g
		}
	}
	var list []Finding
	for _, v := range p.Vulnerabilities {
		g := groups[v.ID]
		if len(g.IDs) > 0 && g.IDs[0] != v.ID && slices.ContainsFunc(p.Vulnerabilities, func(o osvVulnerability) bool { return o.ID == g.IDs[0] }) {
			continue
		}
		f := Finding{ID: v.ID, Severity: rated(g.MaxSeverity), Package: p.Package.Name, Version: p.Package.Version, State: NotFixed}
		if f.Severity == Unknown {
			f.Severity = severity(v.Database.Severity)
		}
		if f.FixedIn = v.fixedIn(p.Package.Name); f.FixedIn != "" {
			f.State = Fixed
		}
		list = append(list, f)
	}
	return list
}

func (v osvVulnerability) fixedIn(name string) string {
	for _, a := range v.Affected {
		if a.Package.Name != name {
			continue
		}
		for _, r := range a.Ranges {
			for _, e := range r.Events {
				if e.Fixed != "" {
					return e.Fixed
				}
			}
		}
	}
	return ""
}
