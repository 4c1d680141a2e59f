package promotionhttp

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/registry/contentstore"
	"kiln/registry/promotion"

	"github.com/opencontainers/go-digest"
)

// collector is the one of cmd/kiln.
type collector struct{ content *contentstore.Registry }

func (c collector) Collect(ctx context.Context, p promotion.Collection) (promotion.CollectResult, error) {
	done, err := c.content.Collect(ctx, contentstore.CollectOptions{
		Roots: contentstore.Roots(p.Roots), Untagged: p.Untagged, Grace: p.Grace, Apply: p.Apply,
	})
	list := func(in []contentstore.Garbage) (out []promotion.Garbage) {
		for _, g := range in {
			out = append(out, promotion.Garbage{Kind: g.Kind, Image: g.Image, Digest: g.Digest, Size: g.Size, Due: &g.Due})
		}
		return out
	}
	return promotion.CollectResult{
		Removed: list(done.Removed), Condemned: list(done.Condemned), Rescued: done.Rescued, Bytes: done.Bytes, BytesCondemned: done.BytesCondemned,
	}, err
}

func testLeases(t *testing.T, w *world, ops promotion.Operations) {
	ctx := t.Context()
	a, b := w.baked(shop, "a"), w.baked(shop, "b")
	lease := func(holder string, d digest.Digest, lifetime time.Duration) promotion.Lease {
		t.Helper()
		l, err := ops.Lease(ctx, promotion.LeaseRequest{Image: shop, Digest: d, Holder: holder, Lifetime: promotion.Duration(lifetime)})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := lease("prod-1", a, 90*time.Minute)
	if l.Schema != promotion.LeaseSchema || l.Image != shop || l.Digest != a || l.Holder != "prod-1" || !l.Expires.Equal(w.now.Add(90*time.Minute)) || !l.At.Equal(w.now) {
		t.Errorf("lease %+v", l)
	}
	if l := lease("prod-1", a, 0); !l.Expires.Equal(w.now.Add(promotion.DefaultLease)) {
		t.Errorf("extended %+v", l)
	}
	lease("prod-2", a, time.Hour)
	lease("prod-2", b, time.Hour)
	var holders []string
	req := promotion.LeasesRequest{Image: shop, Digest: a, Limit: 1}
	for range 5 {
		page, err := ops.Leases(ctx, req)
		if err != nil || page.Schema != promotion.LeasesSchema || page.Leases == nil {
			t.Fatalf("page %+v: %v", page, err)
		}
		for _, l := range page.Leases {
			holders = append(holders, l.Holder)
		}
		if req.Cursor = page.Next; req.Cursor == "" {
			break
		}
	}
	if !slices.Equal(holders, []string{"prod-1", "prod-2"}) {
		t.Errorf("holders %v", holders)
	}
	if all, err := ops.Leases(ctx, promotion.LeasesRequest{}); err != nil || len(all.Leases) != 3 {
		t.Errorf("all leases %+v: %v", all, err)
	}
	_, err := ops.Delete(ctx, promotion.DeleteRequest{Image: shop, Digest: a})
	if e := want(t, err, promotion.KindDenied, "prod-1 leases it"); len(e.Reasons) != 2 {
		t.Errorf("reasons %+v", e.Reasons)
	}
	release := promotion.ReleaseRequest{Image: shop, Digest: a, Holder: "prod-2"}
	if err := ops.Release(ctx, release); err != nil {
		t.Error(err)
	}
	want(t, ops.Release(ctx, release), promotion.KindNotFound, "no lease")
	_, err = ops.Lease(ctx, promotion.LeaseRequest{Image: shop, Digest: absent, Holder: "x"})
	want(t, err, promotion.KindNotFound, "has no version")
	_, err = ops.Lease(ctx, promotion.LeaseRequest{Image: shop, Digest: a, Holder: "x y"})
	want(t, err, promotion.KindInvalid, "invalid holder")
	_, err = ops.Lease(ctx, promotion.LeaseRequest{Image: shop, Digest: a, Holder: "x", Lifetime: promotion.Duration(promotion.MaxLease + 1)})
	want(t, err, promotion.KindInvalid, "may last from 1s to 90d")
	_, err = ops.Leases(ctx, promotion.LeasesRequest{Cursor: "../x"})
	want(t, err, promotion.KindInvalid, "invalid cursor")
	_, err = ops.Leases(ctx, promotion.LeasesRequest{Image: "acme/none"})
	want(t, err, promotion.KindNotFound, "no image")
}

func testDeletion(t *testing.T, w *world, ops promotion.Operations) {
	ctx := t.Context()
	a, b := w.baked(shop, "a"), w.baked(shop, "b")
	promote(t, ops, a, "dev")
	_, err := ops.Delete(ctx, promotion.DeleteRequest{Image: shop, Digest: a})
	if e := want(t, err, promotion.KindDenied, "channel dev of acme/shop holds it"); len(e.Reasons) != 1 || e.Reasons[0].Rule != "channel" || e.Reasons[0].Fix == "" {
		t.Errorf("reasons %+v", e.Reasons)
	}
	out, err := ops.Delete(ctx, promotion.DeleteRequest{Image: shop, Digest: b})
	if err != nil || out.Schema != promotion.DeletionSchema || out.Digest != b || len(out.Tags) != 1 || len(out.Attached) < 4 {
		t.Errorf("deletion %+v: %v", out, err)
	}
	_, err = ops.Delete(ctx, promotion.DeleteRequest{Image: shop, Digest: b})
	want(t, err, promotion.KindNotFound, "has no version")
	_, err = ops.Delete(ctx, promotion.DeleteRequest{Image: shop, Digest: "x"})
	want(t, err, promotion.KindInvalid, "invalid digest")
}

func testCollection(t *testing.T, w *world, ops promotion.Operations) {
	ctx := t.Context()
	var all []digest.Digest
	for _, content := range []string{"a", "b", "c"} {
		all = append(all, w.baked(shop, content))
	}
	promote(t, ops, all[0], "dev")
	w.now = time.Now().Add(48 * time.Hour)
	req := promotion.CollectRequest{Grace: promotion.Duration(time.Hour), Retention: []promotion.RetentionRule{{Image: "acme/*", KeepLast: 1}}}
	dry, err := ops.Collect(ctx, req)
	if err != nil || dry.Schema != promotion.CollectSchema || dry.Applied || len(dry.Retired) != 1 || dry.Retired[0].Digest != all[1] ||
		len(dry.Removed) != 0 || len(dry.Condemned) == 0 || dry.BytesCondemned == 0 || dry.Condemned[0].Due == nil {
		t.Fatalf("dry run %+v: %v", dry, err)
	}
	req.Apply = true
	wet, err := ops.Collect(ctx, req)
	if err != nil || !wet.Applied || len(wet.Retired) != 1 || len(wet.Condemned) != len(dry.Condemned) || wet.BytesCondemned != dry.BytesCondemned {
		t.Fatalf("run %+v: %v", wet, err)
	}
	w.now = w.now.Add(2 * time.Hour)
	done, err := ops.Collect(ctx, req)
	if err != nil || len(done.Removed) != len(dry.Condemned) || done.Bytes != dry.BytesCondemned || len(done.Condemned) != 0 {
		t.Fatalf("second run %+v: %v", done, err)
	}
	for i, gone := range []bool{false, true, false} {
		if _, _, err := w.registry.Manifest(ctx, shop, all[i]); (err != nil) != gone {
			t.Errorf("version %d: %v", i, err)
		}
	}
	_, err = ops.Collect(ctx, promotion.CollectRequest{Grace: 1})
	want(t, err, promotion.KindInvalid, "at least 1s")
	_, err = ops.Collect(ctx, promotion.CollectRequest{Retention: []promotion.RetentionRule{{Image: "["}}})
	want(t, err, promotion.KindInvalid, "no pattern")
}

// TestUpkeepOverHTTP is what curl sees.
func TestUpkeepOverHTTP(t *testing.T) {
	w := newWorld(t)
	a := w.baked(shop, "a")
	url := w.server.URL + BasePath
	resp, body := request(t, "POST", url+"leases", `{"image":"acme/shop","digest":"`+string(a)+`","holder":"c1","lifetime":"7d"}`)
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, `"expires":"2026-03-08T12:00:01Z"`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	for _, bad := range []string{`"1w"`, `3600`, `"-1h"`} {
		resp, body = request(t, "POST", url+"leases", `{"image":"acme/shop","digest":"`+string(a)+`","holder":"c1","lifetime":`+bad+`}`)
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("a lifetime of %s: %d %s", bad, resp.StatusCode, body)
		}
	}
	resp, body = request(t, "DELETE", url+"leases?image=acme/shop&holder=c1&digest="+string(a), "")
	if resp.StatusCode != http.StatusNoContent || body != "" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	// Nobody gives himself rights over the leases of others.
	for _, field := range []string{"admin", "Admin", "by", "By"} {
		resp, body = request(t, "POST", url+"leases", `{"image":"acme/shop","digest":"`+string(a)+`","holder":"c1","`+field+`":true}`)
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s", field, resp.StatusCode, body)
		}
	}
	resp, body = request(t, "POST", url+"collections", `{"grace":"1h"}`)
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, `"removed":[]`) || !strings.Contains(body, `"applied":false`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}
