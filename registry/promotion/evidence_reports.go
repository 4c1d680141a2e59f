package promotion

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"kiln/policy"
	"kiln/policy/reports"
	"kiln/sign"
)

// sbom puts all software bills of materials together. One that cannot be read
// is none.
func (g *gatherer) sbom(ctx context.Context) error {
	f := &g.facts.SBOM
	type key struct{ kind, name, version, purl string }
	packages := map[key]policy.Package{}
	for _, format := range []string{sign.SPDXPredicate, sign.CycloneDXPredicate} {
		found, err := g.attestations(ctx, format)
		if err != nil {
			return err
		}
		for _, a := range found {
			bom, err := reports.ParseSBOM(a.Predicate)
			if err == nil && (bom.Format == reports.SPDX) != (format == sign.SPDXPredicate) {
				err = fmt.Errorf("a %s document attested as %s", bom.Format, format)
			}
			if err != nil {
				g.problems = append(g.problems, fmt.Errorf("evidence %s: %w", a.Digest, err))
				continue
			}
			g.rests(a.Digest)
			f.Present, f.Trusted, f.Format = true, true, cmp.Or(f.Format, format)
			if !slices.Contains(f.Formats, format) {
				f.Formats = append(f.Formats, format)
			}
			for _, p := range bom.Packages {
				k := key{p.Type, p.Name, p.Version, p.PURL}
				one, ok := packages[k]
				if !ok {
					one = policy.Package{Name: p.Name, Version: p.Version, Type: p.Type, PURL: p.PURL}
				}
				one.Licenses = distinct(one.Licenses, p.Licenses)
				packages[k] = one
			}
		}
	}
	for _, p := range packages {
		f.Packages = append(f.Packages, p)
	}
	slices.SortFunc(f.Packages, func(a, b policy.Package) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.PURL, b.PURL))
	})
	return nil
}

// distinct joins two lists, sorted, each value once.
func distinct(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// vulnerabilities takes the newest report. One that cannot be read and may be
// newer than that leaves none: what it found could be what matters.
func (g *gatherer) vulnerabilities(ctx context.Context) error {
	found, err := g.attestations(ctx, sign.VulnPredicate)
	if err != nil {
		return err
	}
	var newest reports.Vulnerabilities
	var by sign.Attestation
	var unread time.Time
	for _, a := range found {
		v, err := reports.ParseVulnerabilities(a.Predicate)
		if err != nil {
			g.problems = append(g.problems, fmt.Errorf("evidence %s: %w", a.Digest, err))
			unread = latest(unread, scannedAt(a.Predicate, g.facts.Now))
			continue
		}
		if by.Digest == "" || v.ScannedAt.After(newest.ScannedAt) {
			newest, by = v, a
		}
	}
	if by.Digest == "" || !newest.ScannedAt.After(unread) {
		return nil
	}
	g.rests(by.Digest)
	at := newest.ScannedAt.UTC()
	f := policy.Vulnerabilities{Present: true, Trusted: true, Scanner: newest.Scanner, ScannedAt: &at}
	for _, x := range newest.Findings {
		if x.State == reports.NotAffected {
			continue // the scanner says that it is none of this image's
		}
		f.Findings = append(f.Findings, policy.Finding{
			ID: x.ID, Severity: string(x.Severity), Package: x.Package, Version: x.Version, FixedIn: x.FixedIn, State: string(x.State),
		})
	}
	slices.SortFunc(f.Findings, func(a, b policy.Finding) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Package, b.Package), cmp.Compare(a.Version, b.Version))
	})
	g.facts.Vulnerabilities = f
	return nil
}

// scannedAt is when a report that cannot be read says that it was made; now if
// it does not.
func scannedAt(predicate []byte, now time.Time) time.Time {
	var p struct {
		Metadata struct {
			ScanFinishedOn time.Time `json:"scanFinishedOn"`
		} `json:"metadata"`
	}
	if json.Unmarshal(predicate, &p) != nil || p.Metadata.ScanFinishedOn.IsZero() {
		return now
	}
	return p.Metadata.ScanFinishedOn
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
