package promotion

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"kiln/registry/store"
	"kiln/sign"
)

// The same word, signed again at another time, is not attached again: who may
// approve does not fill a version with evidence until it is beyond what is read.
func TestApprovingAgainAttachesNothing(t *testing.T) {
	w := openWorld(t)
	a := w.bakedOn(shop, "a")
	w.approvers(w.stranger)
	attached := func() int {
		n := 0
		for _, err := range w.registry.Referrers(t.Context(), shop, a, sign.BundleMediaType) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	before := attached()
	for range 3 {
		w.clock.Add(time.Minute)
		if _, err := w.approves(ApproveRequest{Digest: a, Channel: "prod", Approval: w.approval(w.stranger, a, "prod", nil), By: "robot"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := attached() - before; n != 1 {
		t.Errorf("%d are attached", n)
	}
}

// A promotion key that is trusted for dev alone enters no approval for prod, and
// one that was entered when it was trusted for more counts there no longer.
func TestApprovalTakesAPromotionKeyForItsChannel(t *testing.T) {
	w := openWorld(t)
	a := w.bakedOn(shop, "a")
	for _, channel := range []string{"prod", ""} {
		if _, err := w.approves(ApproveRequest{Digest: a, Channel: channel, By: "ann" + channel}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.service.AddTrust(t.Context(), TrustRequest{Role: RolePromote, Key: string(w.promote.PublicPEM()), Channels: []string{"dev"}}); err != nil {
		t.Fatal(err)
	}
	for channel, believed := range map[string]int{"prod": 0, "dev": 1} {
		n := 0
		for _, p := range w.approved(a, channel) {
			if p.Trusted {
				n++
			}
		}
		if n != believed {
			t.Errorf("%d count for %s, want %d", n, channel, believed)
		}
	}
	_, err := w.approves(ApproveRequest{Digest: a, Channel: "prod", By: "bob"})
	want(t, err, KindDenied, "not for channel prod")
}

// noHints is a store whose index of descendants cannot be listed.
type noHints struct{ store.Store }

func (s noHints) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	if strings.HasPrefix(prefix, "descendants/") {
		return func(yield func(store.Info, error) bool) { yield(store.Info{}, errors.New("on fire")) }
	}
	return s.Store.List(ctx, prefix, after)
}

// FAULTS 39: a revocation that stands is acknowledged, though what it hits
// cannot be listed.
func TestRevocationStandsWithoutItsList(t *testing.T) {
	w := openWorld(t)
	a := w.bakedOn(shop, "a")
	w.to("dev", a)
	s := w.with(func(c *Config) { c.Store = noHints{w.store} })
	r, err := s.Revoke(t.Context(), RevokeRequest{Image: shop, Digest: a, Reason: "CVE-2026-1"})
	if err != nil || !r.Truncated || r.Record == "" {
		t.Errorf("%+v: %v", r, err)
	}
	_, err = w.resolved(shop, "dev")
	want(t, err, KindRevoked, "CVE-2026-1")
}
