package promotionhttp

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/registry/promotion"
)

func testRevocations(t *testing.T, w *world, ops promotion.Operations) {
	ctx := t.Context()
	a, b := w.baked(shop, "a"), w.baked(shop, "b")
	promote(t, ops, a, "dev")
	r, err := ops.Revoke(ctx, promotion.RevokeRequest{Image: shop, Digest: a, Reason: "CVE-2026-1"})
	if err != nil || r.Schema != promotion.RevocationSchema || r.Sequence != 2 || !r.InForce || r.Digest != a ||
		!slices.Equal(r.Channels, []promotion.StoppedChannel{{Image: shop, Channel: "dev", Digest: a}}) {
		t.Fatalf("%+v: %v", r, err)
	}
	_, err = ops.Resolve(ctx, promotion.ResolveRequest{Image: shop, Channel: "dev"})
	want(t, err, promotion.KindRevoked, "is revoked: CVE-2026-1")
	_, err = ops.Promote(ctx, promotion.PromoteRequest{Image: shop, Digest: a, Channel: "staging"})
	want(t, err, promotion.KindDenied, "is denied")
	at := w.now.Add(time.Hour)
	if r, err = ops.Revoke(ctx, promotion.RevokeRequest{Image: shop, Digest: b, Reason: "later", At: &at, NoDescendants: true}); err != nil || r.InForce || !r.NoDescendants || !r.At.Equal(at) {
		t.Errorf("%+v: %v", r, err)
	}
	req := promotion.RevocationsRequest{Image: shop, Limit: 1}
	var listed []string
	for range 3 {
		page, err := ops.Revocations(ctx, req)
		if err != nil || page.Schema != promotion.RevocationsSchema {
			t.Fatalf("%+v: %v", page, err)
		}
		for _, r := range page.Revocations {
			listed = append(listed, r.Reason)
		}
		if req.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	if slices.Sort(listed); !slices.Equal(listed, []string{"CVE-2026-1", "later"}) {
		t.Errorf("listed %v", listed)
	}
	back, err := ops.Restore(ctx, promotion.RestoreRequest{Image: shop, Digest: a, Reason: "wrong report"})
	if err != nil || back.Schema != promotion.RestorationSchema || back.Sequence != 4 {
		t.Errorf("%+v: %v", back, err)
	}
	_, err = ops.Restore(ctx, promotion.RestoreRequest{Image: shop, Digest: a, Reason: "again"})
	want(t, err, promotion.KindNotFound, "is not revoked")
	_, err = ops.Revoke(ctx, promotion.RevokeRequest{Image: shop, Digest: absent, Reason: "x"})
	want(t, err, promotion.KindNotFound, "has no version")
	_, err = ops.Revoke(ctx, promotion.RevokeRequest{Image: shop, Digest: a})
	want(t, err, promotion.KindInvalid, "reason is required")
}

func testApprovals(t *testing.T, w *world, ops promotion.Operations) {
	ctx := t.Context()
	a := w.baked(shop, "a")
	if _, err := ops.AddTrust(ctx, promotion.TrustRequest{Role: promotion.RoleApprove, Key: string(w.stranger.PublicPEM())}); err != nil {
		t.Fatal(err)
	}
	known, err := ops.Approvals(ctx, promotion.ApprovalsRequest{Image: shop, Digest: a})
	if err != nil || known.StoreID == "" || known.Approvals == nil {
		t.Fatalf("%+v: %v", known, err)
	}
	word := promotion.ApprovalStatement{StoreID: known.StoreID, Image: shop, Channel: "prod", Digest: a, At: w.now}
	sign := func() json.RawMessage {
		bundle, err := w.stranger.SignApproval(ctx, shop, a, word)
		if err != nil {
			t.Fatal(err)
		}
		return bundle
	}
	got, err := ops.Approve(ctx, promotion.ApproveRequest{Image: shop, Digest: a, Channel: "prod", Approval: sign()})
	if err != nil || got.Schema != promotion.ApprovalSchema || got.KeyID != w.stranger.KeyID() || !got.Trusted {
		t.Fatalf("%+v: %v", got, err)
	}
	word.StoreID = "another"
	_, err = ops.Approve(ctx, promotion.ApproveRequest{Image: shop, Digest: a, Channel: "prod", Approval: sign()})
	want(t, err, promotion.KindDenied, "is for store")
	_, err = ops.Approve(ctx, promotion.ApproveRequest{Image: shop, Digest: a, Channel: "prod"})
	want(t, err, promotion.KindDenied, "nobody is known")
	list, err := ops.Approvals(ctx, promotion.ApprovalsRequest{Image: shop, Digest: a, Channel: "prod"})
	if err != nil || len(list.Approvals) != 1 || list.Approvals[0].Record != got.Record || !list.Approvals[0].Trusted {
		t.Errorf("%+v: %v", list, err)
	}
}

// TestRevocationsOverHTTP is what curl sees: the identity is the server's to
// say, a revoked channel is 422, and what approves is who is known.
func TestRevocationsOverHTTP(t *testing.T) {
	w := newWorld(t)
	a := w.baked(shop, "a")
	promote(t, w.client, a, "dev")
	s := serve(t, Config{Operations: w.service, Identity: func(*http.Request) string { return "ann" }})
	url, named := s.URL+BasePath, `{"image":"acme/shop","digest":"`+string(a)+`","reason":"x"`
	for _, path := range []string{"revocations", "restorations", "approvals"} {
		resp, body := request(t, "POST", url+path, named+`,"by":"root"}`)
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	resp, body := request(t, "POST", url+"approvals", named+`,"channel":"prod"}`)
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, `"by":"ann"`) {
		t.Errorf("approve: %d %s", resp.StatusCode, body)
	}
	resp, body = request(t, "POST", url+"revocations", named+`}`)
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, `"by":"ann"`) || !strings.Contains(body, `"in_force":true`) {
		t.Errorf("revoke: %d %s", resp.StatusCode, body)
	}
	resp, body = request(t, "GET", url+"resolve?image=acme/shop&channel=dev", "")
	if resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, `"kind":"revoked"`) || !strings.Contains(body, "is revoked: x") {
		t.Errorf("resolve: %d %s", resp.StatusCode, body)
	}
	resp, body = request(t, "GET", url+"revocations", "")
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, string(a)) {
		t.Errorf("list: %d %s", resp.StatusCode, body)
	}
	resp, body = request(t, "POST", url+"restorations", named+`}`)
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, promotion.RestorationSchema) {
		t.Errorf("restore: %d %s", resp.StatusCode, body)
	}
}
