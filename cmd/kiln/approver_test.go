package main

import (
	"testing"

	"kiln/registry/promotion"
)

// The promotion key that wrote an approval down is not who approved.
func TestApprover(t *testing.T) {
	for _, tc := range []struct{ by, key, want string }{
		{"sha256:promotion", "sha256:approver", "sha256:approver"},
		{"ann", "sha256:approver", "ann"},
		{"ann", "", "ann"},
		{"sha256:promotion", "", "sha256:promotion"},
	} {
		if got := approver(promotion.Approval{By: tc.by, KeyID: tc.key}); got != tc.want {
			t.Errorf("by %s, signed by %q: %s", tc.by, tc.key, got)
		}
	}
}
