package promotion

import (
	"slices"
	"testing"
	"time"

	"kiln/sign"
)

// By a trust an answer is held against who may do what, for which image and
// channel, and when; never against a key in another role.
func TestVerifyResolutionByTrust(t *testing.T) {
	w, a, opts := asked(t)
	entry := func(role Role, key *sign.Signer, change func(*TrustRequest)) TrustEntry {
		req := TrustRequest{Role: role, Key: string(key.PublicPEM()), Image: "acme/*"}
		if change != nil {
			change(&req)
		}
		e, err := newTrustEntry(req, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	bake, promote := entry(RoleBake, w.bake, nil), entry(RolePromote, w.promote, nil)
	past, future := w.clock.Now().Add(-time.Hour), w.clock.Now().Add(time.Hour)
	toolbox := w.baked("acme/toolbox", "t")
	if _, err := w.service.Promote(t.Context(), PromoteRequest{Image: "acme/toolbox", Digest: toolbox, Channel: "dev"}); err != nil {
		t.Fatal(err)
	}
	moved := w.resolve("acme/toolbox", "dev")
	for _, c := range []struct {
		name    string
		entries []TrustEntry
		change  func(*Resolution, *VerifyOptions)
		kind    Kind
		text    string
	}{
		{"both", []TrustEntry{bake, promote}, nil, "", ""},
		{"nobody", nil, nil, KindDenied, "nobody who may promote"},
		{"nobody who bakes", []TrustEntry{promote}, nil, KindDenied, "nobody who may bake"},
		{"the bake key in both roles", []TrustEntry{bake, entry(RolePromote, w.bake, nil)}, nil, KindVerification, "statement of acme/shop dev"},
		{"the promotion key in both roles", []TrustEntry{entry(RoleBake, w.promote, nil), promote}, nil, KindVerification, "has no signature"},
		{"an approver is no promoter", []TrustEntry{bake, entry(RoleApprove, w.promote, nil)}, nil, KindDenied, "nobody who may promote"},
		{"another channel", []TrustEntry{bake, entry(RolePromote, w.promote, func(r *TrustRequest) { r.Channels = []string{"prod"} })}, nil, KindDenied, "for channel dev"},
		{"this channel", []TrustEntry{bake, entry(RolePromote, w.promote, func(r *TrustRequest) { r.Channels = []string{"d*"} })}, nil, "", ""},
		{"another image", []TrustEntry{entry(RoleBake, w.bake, func(r *TrustRequest) { r.Image = "acme/api" }), promote}, nil, KindDenied, "nobody who may bake"},
		{"a promotion key that ended", []TrustEntry{bake, entry(RolePromote, w.promote, func(r *TrustRequest) { r.NotAfter = &past })}, nil, KindVerification, "expired"},
		{"a bake key that ended", []TrustEntry{entry(RoleBake, w.bake, func(r *TrustRequest) { r.NotAfter = &past }), promote}, nil, KindVerification, "expired"},
		{"keys that will end", []TrustEntry{entry(RoleBake, w.bake, func(r *TrustRequest) { r.NotAfter = &future }), promote}, nil, "", ""},
		{"an SBOM is required", []TrustEntry{bake, promote}, func(_ *Resolution, o *VerifyOptions) { o.Require = []string{sign.SPDXPredicate} }, "", ""},
		{"a report is required", []TrustEntry{bake, promote}, func(_ *Resolution, o *VerifyOptions) { o.Require = []string{sign.VulnPredicate} }, KindVerification, "no attestation of type " + sign.VulnPredicate},
		{"evidence of acme/toolbox", []TrustEntry{bake, promote}, func(r *Resolution, _ *VerifyOptions) { r.Evidence = moved.Evidence }, KindVerification, "has no signature"},
		{"acme/toolbox as acme/shop", []TrustEntry{bake, promote}, func(r *Resolution, _ *VerifyOptions) {
			*r = moved
			r.Image, r.Reference = shop, shop+"@"+string(moved.Digest)
		}, KindVerification, "the statement is about acme/toolbox dev"},
		{"a trust and keys", []TrustEntry{bake, promote}, func(_ *Resolution, o *VerifyOptions) { o.BakeKeys = [][]byte{w.bake.PublicPEM()} }, KindInvalid, "keys beside it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, o := w.resolve(shop, "dev"), opts
			o.BakeKeys, o.PromotionKeys, o.Trust = nil, nil, &Trust{Schema: TrustSchema, Entries: slices.Clone(c.entries)}
			if c.change != nil {
				c.change(&r, &o)
			}
			want(t, VerifyResolution(t.Context(), r, o), c.kind, c.text)
		})
	}
	if r := w.resolve(shop, "dev"); r.Digest != a {
		t.Errorf("dev holds %s", r.Digest)
	}
}
