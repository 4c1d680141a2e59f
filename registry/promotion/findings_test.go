package promotion

import (
	"testing"

	"kiln/policy"
)

// What no rule asks for is a fact, not a yes; who approved twice is one.
func TestFindings(t *testing.T) {
	approval := func(who string) policy.Approval { return policy.Approval{By: who, KeyID: who, Trusted: true} }
	f := policy.Facts{
		Action: "promote", Channel: "prod", BakedBy: []string{"baker"},
		Approvals: []policy.Approval{approval("ann"), approval("ann"), approval("baker"), {By: "eve"}},
	}
	soak, err := policy.Compose(policy.Spec{Default: true, Examples: []string{"soak"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		p    *policy.Policy
		rule string
		want Finding
	}{
		{"no rule", policy.Default(), "soak", Finding{Rule: "soak", OK: true, Unasked: true, Fact: "there is no channel before prod"}},
		{"a rule", soak, "soak", Finding{Rule: "soak", OK: true, Fact: "there is no channel before prod"}},
		{"a rule of the built-in policy", policy.Default(), "tier", Finding{Rule: "tier", OK: true, Fact: "none"}},
		{"approvers", policy.Default(), "approvals", Finding{Rule: "approvals", OK: true, Unasked: true, Fact: "by ann, baker (who baked it)"}},
	} {
		found := false
		for _, got := range findings(f, nil, true, c.p) {
			found = found || got == c.want
			if got.Rule == c.rule && got != c.want {
				t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
			}
		}
		if !found {
			t.Errorf("%s: no finding of %s", c.name, c.rule)
		}
	}
}
