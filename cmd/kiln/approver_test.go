package main

import (
	"strings"
	"testing"
)

// The promotion key that wrote an approval down is not who approved.
func TestApprover(t *testing.T) {
	for _, tc := range []struct{ by, key, want string }{
		{"sha256:promotion", "sha256:approver", "sha256:approver"},
		{"ann", "sha256:approver", "ann"},
		{"ann", "", "ann"},
		{"sha256:promotion", "", "sha256:promotion"},
	} {
		if got := approver(tc.by, tc.key); got != tc.want {
			t.Errorf("by %s, signed by %q: %s", tc.by, tc.key, got)
		}
	}
}

// Tables cut digests, not names.
func TestShortDigest(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 4)
	for in, want := range map[string]string{
		"sha256:" + hex: "sha256:0123456789ab", "token:deploy-to-production": "token:deploy-to-production",
		"identity:https://ci.example.com#release@acme.example.com": "identity:https://ci.example.com#release@acme.example.com", "": "",
	} {
		if got := shortDigest(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

func TestTrustedWhere(t *testing.T) {
	for want, got := range map[string]string{
		"yes": trustedWhere(true, nil), "no": trustedWhere(false, nil), "for dev, prod": trustedWhere(false, []string{"dev", "prod"}),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
