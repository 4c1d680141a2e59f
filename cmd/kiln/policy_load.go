package main

import (
	"context"

	"kiln/policy"
)

// policyFlagHelp is the help of every --policy.
const policyFlagHelp = "what gates promotions of an embedded store: a .rego file or a folder of them, added to the built-in policy, a .hcl file with the attributes of serve's policy block, or IMAGE@DIGEST of a policy in the store (KILN_POLICY)"

// policyOf loads the policy that ref names; of "" that of KILN_POLICY, or the
// built-in one.
func (a *app) policyOf(_ context.Context, ref string) (*policy.Policy, error) {
	ref = firstOf(ref, a.getenv("KILN_POLICY"))
	if ref == "" {
		return policy.Default(), nil
	}
	return nil, usagef("--policy %s: not there yet", ref)
}
