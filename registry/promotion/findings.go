package promotion

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kiln/policy"
)

// aspect is one thing that a Check tells of a version, under the rule by which
// the default policy refuses it.
type aspect struct {
	rule string
	fact func(policy.Facts) string
}

// aspects are told in this order.
func aspects() []aspect {
	return []aspect{
		{"known", func(f policy.Facts) string {
			return f.Action + " to " + f.Channel + ", asked by " + orNone(f.RequestedBy)
		}},
		{"signature", signatureFact},
		{"provenance", provenanceFact},
		{"sbom", sbomFact},
		{"tier", func(f policy.Facts) string { return orNone(f.Tier) }},
		{"tests", testsFact},
		{"scan", scanFact},
		{"revoked", func(f policy.Facts) string {
			if f.Revoked {
				return "revoked: " + clip(f.RevokedBecause)
			}
			if f.RevokedFrom != nil {
				return "to be revoked at " + f.RevokedFrom.UTC().Format(time.RFC3339) + ": " + clip(f.RevokedBecause)
			}
			return "not revoked"
		}},
		{"ancestry", ancestryFact},
		{"order", func(f policy.Facts) string { return "was in " + orNone(strings.Join(f.BeenIn, ", ")) }},
		{"soak", soakFact},
		{"approvals", approvalsFact},
		{"vulnerabilities", vulnerabilitiesFact},
	}
}

// findings goes through the facts, if there are any, and puts each reason
// beside the fact that it is about; reasons of other rules come last. p, which
// may be nil, is the policy that was asked.
func findings(f policy.Facts, reasons []Reason, gathered bool, p *policy.Policy) []Finding {
	var list []Finding
	told := map[string]bool{}
	if gathered {
		for _, a := range aspects() {
			told[a.rule] = true
			against := slices.DeleteFunc(slices.Clone(reasons), func(r Reason) bool { return r.Rule != a.rule })
			if len(against) == 0 {
				list = append(list, Finding{Rule: a.rule, OK: true, Unasked: !p.Names(a.rule), Fact: a.fact(f)})
			}
			for _, r := range against {
				list = append(list, Finding{Rule: r.Rule, Fact: r.Message, Fix: r.Fix})
			}
		}
	}
	for _, r := range reasons {
		if !told[r.Rule] {
			list = append(list, Finding{Rule: r.Rule, Fact: r.Message, Fix: r.Fix})
		}
	}
	return list
}

// Explain goes through facts and the reasons that a policy has against them,
// as a Check does.
func Explain(f policy.Facts, reasons []Reason, p *policy.Policy) []Finding {
	return findings(f, reasons, true, p)
}

func signatureFact(f policy.Facts) string {
	if len(f.Signatures) == 0 {
		return "none that is trusted"
	}
	var by []string
	for _, s := range f.Signatures {
		who := s.KeyID
		if s.Identity != nil {
			who = s.Identity.Subject + " (" + s.Identity.Issuer + ")"
		}
		if s.SignedAt != nil {
			who += " at " + s.SignedAt.UTC().Format(time.RFC3339)
		}
		by = append(by, who)
	}
	return "by " + someOf(by)
}

func provenanceFact(f policy.Facts) string {
	p := f.Provenance
	if !p.Present {
		return "none that is trusted"
	}
	text := "built by " + orNone(p.Builder) + " from commit " + orNone(p.Commit)
	if p.Dirty != nil && *p.Dirty {
		text += ", dirty"
	}
	if !p.Hermetic {
		text += ", not hermetic"
	}
	return text
}

func sbomFact(f policy.Facts) string {
	if !f.SBOM.Present {
		return "none that is trusted"
	}
	return count(len(f.SBOM.Packages), "package", "packages") + " (" + strings.Join(f.SBOM.Formats, ", ") + ")"
}

func testsFact(f policy.Facts) string {
	passed := 0
	for _, t := range f.Tests {
		if t.Passed {
			passed++
		}
	}
	return fmt.Sprintf("%d of %d passed", passed, len(f.Tests))
}

func scanFact(f policy.Facts) string {
	switch {
	case !f.Scan.Present:
		return "none that is trusted"
	case !f.Scan.Passed:
		return "found secrets"
	case f.Scan.Allowed > 0:
		return "passed, with " + count(f.Scan.Allowed, "secret", "secrets") + " allowed by the template"
	}
	return "passed"
}

func ancestryFact(f policy.Facts) string {
	var list []string
	for _, a := range f.Ancestry.Ancestors {
		text := a.Image + "@" + short(a.Digest)
		switch {
		case a.Revoked:
			text += " (revoked: " + clip(a.Reason) + ")"
		case a.Foreign:
			text += " (from outside the store)"
		case a.Outdated != nil && *a.Outdated:
			text += " (outdated)"
		}
		list = append(list, text)
	}
	switch {
	case !f.Ancestry.Known:
		return "not known: " + f.Ancestry.Problem
	case len(list) == 0:
		return "without parent"
	}
	return "on " + strings.Join(list, ", on ")
}

func soakFact(f policy.Facts) string {
	switch {
	case f.Soak.Channel == "":
		return "there is no channel before " + f.Channel
	case f.Soak.Since == nil:
		return "never was in " + f.Soak.Channel
	}
	return fmt.Sprintf("in %s since %s (%v)", f.Soak.Channel, f.Soak.Since.UTC().Format(time.RFC3339), f.Now.Sub(*f.Soak.Since).Round(time.Second))
}

// approvalsFact names each once who approved, and apart who baked it.
func approvalsFact(f policy.Facts) string {
	var by []string
	for _, a := range f.Approvals {
		who := a.By
		if slices.Contains(f.BakedBy, a.By) || a.KeyID != "" && slices.Contains(f.BakedBy, a.KeyID) {
			who += " (who baked it)"
		}
		if a.Trusted && !slices.Contains(by, who) {
			by = append(by, who)
		}
	}
	if len(by) == 0 {
		return "none"
	}
	return "by " + someOf(by)
}

func vulnerabilitiesFact(f policy.Facts) string {
	v := f.Vulnerabilities
	if !v.Present {
		return "no report that is trusted"
	}
	at := "an unknown time"
	if v.ScannedAt != nil {
		at = v.ScannedAt.UTC().Format(time.RFC3339)
	}
	tally := map[string]int{}
	for _, x := range v.Findings {
		tally[x.Severity]++
	}
	var list []string
	for _, severity := range []string{"critical", "high", "medium", "low", "negligible", "unknown"} {
		if n := tally[severity]; n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, severity))
		}
	}
	return orNone(strings.Join(list, ", ")) + " found by " + orNone(v.Scanner) + " at " + at
}

// maxNamed bounds the names in one line.
const maxNamed = 5

func someOf(names []string) string {
	if len(names) > maxNamed {
		return strings.Join(names[:maxNamed], ", ") + fmt.Sprintf(" and %d more", len(names)-maxNamed)
	}
	return strings.Join(names, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return clip(s)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// short is enough of a digest to tell it apart.
func short(d string) string {
	if len(d) > len("sha256:")+12 {
		return d[:len("sha256:")+12]
	}
	return d
}
