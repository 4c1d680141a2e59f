package promotion

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

func (w *world) leaseAs(by, holder string, d digest.Digest, lifetime time.Duration) (Lease, error) {
	return w.service.Lease(w.Context(), LeaseRequest{Image: shop, Digest: d, Holder: holder, Lifetime: Duration(lifetime), By: by})
}

func (w *world) mustLease(holder string, d digest.Digest, lifetime time.Duration) Lease {
	w.Helper()
	l, err := w.leaseAs("", holder, d, lifetime)
	if err != nil {
		w.Fatal(err)
	}
	return l
}

// holders lists who leases what of an image, by the operation.
func (w *world) holders(req LeasesRequest) []string {
	w.Helper()
	var list []string
	for {
		page, err := w.service.Leases(w.Context(), req)
		if err != nil {
			w.Fatal(err)
		}
		for _, l := range page.Leases {
			list = append(list, l.Image+" "+l.Holder)
		}
		if req.Cursor = page.Next; req.Cursor == "" {
			return list
		}
	}
}

func TestLease(t *testing.T) {
	w := newWorld(t)
	a, b := w.image(shop, "a").Digest, w.image(shop, "b").Digest
	if other := w.image("acme/other", "a").Digest; other != a {
		t.Fatal("the same content has two digests")
	}
	l := w.mustLease("prod-1", a, 2*time.Hour)
	if l.Schema != LeaseSchema || l.Image != shop || l.Digest != a || l.Holder != "prod-1" || !l.Expires.Equal(w.clock.Now().Add(2*time.Hour)) {
		t.Errorf("lease %+v", l)
	}
	if l := w.mustLease("prod-1", a, time.Hour); !l.Expires.Equal(w.clock.Now().Add(2 * time.Hour)) {
		t.Errorf("an extension shortened the lease: %+v", l)
	}
	w.clock.Add(time.Hour)
	if l := w.mustLease("prod-1", a, 0); !l.Expires.Equal(w.clock.Now().Add(DefaultLease)) {
		t.Errorf("extended by the default: %+v", l)
	}
	w.mustLease("prod-2", b, time.Hour)
	if _, err := w.service.Lease(t.Context(), LeaseRequest{Image: "acme/other", Digest: a, Holder: "prod-1"}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(w.holders(LeasesRequest{Limit: 1}), ", "); !strings.Contains(got, "acme/other prod-1, acme/shop prod-1") || !strings.Contains(got, "acme/shop prod-2") {
		t.Errorf("all leases: %s", got)
	}
	if got := w.holders(LeasesRequest{Image: shop, Digest: a}); len(got) != 1 || got[0] != "acme/shop prod-1" {
		t.Errorf("leases of one image and digest: %v", got)
	}
	w.clock.Add(time.Hour)
	if got := w.holders(LeasesRequest{Image: shop, Digest: b}); len(got) != 0 {
		t.Errorf("an expired lease is shown: %v", got)
	}
	release := ReleaseRequest{Image: shop, Digest: a, Holder: "prod-1"}
	if err := w.service.Release(t.Context(), release); err != nil {
		t.Fatal(err)
	}
	want(t, w.service.Release(t.Context(), release), KindNotFound, "no lease")
	if got := w.holders(LeasesRequest{Digest: a}); len(got) != 1 || got[0] != "acme/other prod-1" {
		t.Errorf("after the release: %v", got)
	}
}

func TestLeaseRefusals(t *testing.T) {
	w := newWorld(t)
	a := w.image(shop, "a").Digest
	for _, c := range []struct {
		req  LeaseRequest
		kind Kind
		text string
	}{
		{LeaseRequest{Image: "../x", Digest: a, Holder: "h"}, KindInvalid, "invalid image name"},
		{LeaseRequest{Image: shop, Digest: "sha256:../../x", Holder: "h"}, KindInvalid, "invalid digest"},
		{LeaseRequest{Image: shop, Digest: a}, KindInvalid, "invalid holder"},
		{LeaseRequest{Image: shop, Digest: a, Holder: "a/b"}, KindInvalid, "invalid holder"},
		{LeaseRequest{Image: shop, Digest: a, Holder: ".."}, KindInvalid, "invalid holder"},
		{LeaseRequest{Image: shop, Digest: a, Holder: strings.Repeat("h", 129)}, KindInvalid, "invalid holder"},
		{LeaseRequest{Image: shop, Digest: a, Holder: "h", Lifetime: Duration(MaxLease + time.Second)}, KindInvalid, "may last from 1s to 90d"},
		{LeaseRequest{Image: shop, Digest: a, Holder: "h", Lifetime: Duration(-time.Hour)}, KindInvalid, "may last"},
		{LeaseRequest{Image: shop, Digest: digest.FromString("no"), Holder: "h"}, KindNotFound, "has no version"},
		{LeaseRequest{Image: "acme/none", Digest: a, Holder: "h"}, KindNotFound, "has no version"},
	} {
		_, err := w.service.Lease(t.Context(), c.req)
		want(t, err, c.kind, c.text)
	}
	if got := w.holders(LeasesRequest{}); len(got) != 0 {
		t.Errorf("what was refused is leased: %v", got)
	}
	_, err := w.service.Leases(t.Context(), LeasesRequest{Cursor: "sha256:../x"})
	want(t, err, KindInvalid, "invalid cursor")
	_, err = w.service.Leases(t.Context(), LeasesRequest{Image: "acme/none"})
	want(t, err, KindNotFound, "no image")
}

// TestLeasesOfOthers: what one identity took, another can neither extend nor
// release; an administrator can, and whoever has the store in hand.
func TestLeasesOfOthers(t *testing.T) {
	w := newWorld(t)
	a := w.image(shop, "a").Digest
	if _, err := w.leaseAs("alice", "prod", a, time.Hour); err != nil {
		t.Fatal(err)
	}
	_, err := w.leaseAs("mallory", "prod", a, time.Hour)
	want(t, err, KindDenied, "was taken by alice")
	release := ReleaseRequest{Image: shop, Digest: a, Holder: "prod", By: "mallory"}
	want(t, w.service.Release(t.Context(), release), KindDenied, "was taken by alice")
	if l, err := w.leaseAs("", "prod", a, 2*time.Hour); err != nil || l.By != "alice" {
		t.Errorf("extended by hand: %+v, %v", l, err)
	}
	release.Admin = true
	if err := w.service.Release(t.Context(), release); err != nil {
		t.Error(err)
	}
	if _, err := w.leaseAs("mallory", "prod", a, time.Hour); err != nil {
		t.Error(err)
	}
}

// TestLeaseQuotas: neither one digest nor one identity can fill the store.
func TestLeaseQuotas(t *testing.T) {
	w := newWorld(t)
	a, b := w.image(shop, "a").Digest, w.image(shop, "b").Digest
	for i := range MaxLeasesOfDigest {
		name := fmt.Sprint("h", i)
		v := leaseValue{Schema: LeaseSchema, Digest: a, Holder: name, Images: map[string]imageLease{shop: {Expires: w.clock.Now().Add(time.Hour)}}}
		if err := w.service.saveLease(t.Context(), store.Absent(store.LeasePointer(a, name)), v); err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.leaseAs("", "one-more", a, time.Hour)
	want(t, err, KindDenied, "1000 holders")
	w.mustLease("h7", a, 2*time.Hour) // extending is fine
	w.clock.Add(time.Hour + LeaseSkew)
	w.mustLease("one-more", a, time.Hour) // the others have expired

	full := leaseTally{By: "bot", Leases: map[string]int64{}}
	for i := range MaxLeasesOfOwner {
		full.Leases[digest.FromString(fmt.Sprint(i)).Encoded()[:24]] = w.clock.Now().Add(time.Hour).Unix()
	}
	value, err := json.Marshal(full)
	if err != nil || len(value) > store.MaxPointerSize {
		t.Fatalf("a full tally has %d bytes: %v", len(value), err)
	}
	if _, err := w.pointers.Swap(t.Context(), store.Absent(store.LeaseTallyPointer(digest.FromString("bot").Encoded())), value); err != nil {
		t.Fatal(err)
	}
	_, err = w.leaseAs("bot", "x", b, time.Hour)
	want(t, err, KindDenied, "bot holds 10000 leases")
	if _, err := w.leaseAs("other", "x", b, time.Hour); err != nil {
		t.Error(err)
	}
	w.clock.Add(2 * time.Hour)
	if _, err := w.leaseAs("bot", "y", b, time.Hour); err != nil {
		t.Errorf("after the others expired: %v", err)
	}
}

// TestTally: what is released counts no more, and extending counts once.
func TestTally(t *testing.T) {
	w := newWorld(t)
	a := w.image(shop, "a").Digest
	for range 3 {
		if _, err := w.leaseAs("bot", "x", a, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	count := func() (n int) {
		if err := w.service.tally(t.Context(), "bot", func(l map[string]int64) error { n = len(l); return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if count() != 1 {
		t.Errorf("one lease counts %d", count())
	}
	if err := w.service.Release(t.Context(), ReleaseRequest{Image: shop, Digest: a, Holder: "x", By: "bot"}); err != nil {
		t.Fatal(err)
	}
	if count() != 0 {
		t.Errorf("a released lease counts %d", count())
	}
}

// TestLeaseExpiry, FAULTS 43: where a clock is ahead, a lease that has just
// expired there still protects; long after, it does not.
func TestLeaseExpiry(t *testing.T) {
	w := newWorld(t)
	a := w.image(shop, "a").Digest
	w.mustLease("prod", a, time.Hour)
	w.clock.Add(time.Hour + LeaseSkew - time.Second)
	if !w.rooted(a) {
		t.Error("a lease ends at once when it expires by this clock")
	}
	_, err := w.service.Delete(t.Context(), DeleteRequest{Image: shop, Digest: a})
	want(t, err, KindDenied, "prod leases it")
	if err := w.service.pruneLeases(t.Context()); err != nil || len(w.pointersUnder(store.LeasesPrefix)) != 1 {
		t.Errorf("pruned while it protects: %v", err)
	}
	w.clock.Add(time.Second)
	if w.rooted(a) {
		t.Error("an expired lease protects for ever")
	}
	if err := w.service.pruneLeases(t.Context()); err != nil || len(w.pointersUnder(store.LeasesPrefix)) != 0 {
		t.Errorf("an expired lease is not pruned: %v", err)
	}
	w.clock.Add(-2 * time.Hour) // a jump back finds nothing to protect either
	if _, err := w.service.Delete(t.Context(), DeleteRequest{Image: shop, Digest: a}); err != nil {
		t.Error(err)
	}
}

// rooted tells whether Roots keeps a digest of shop.
func (w *world) rooted(d digest.Digest) bool {
	w.Helper()
	found := false
	if err := w.service.Roots(w.Context(), func(image string, kept digest.Digest) { found = found || image == shop && kept == d }); err != nil {
		w.Fatal(err)
	}
	return found
}

func (w *world) pointersUnder(prefix string) []string {
	w.Helper()
	var names []string
	for p, err := range w.pointers.List(w.Context(), prefix, "") {
		if err != nil {
			w.Fatal(err)
		}
		names = append(names, p.Name)
	}
	return names
}

// TestLeaseMeetsDelete, FAULTS 40: of a lease and a deletion at the same time
// at most one happens, and a lease that was acknowledged holds what it says.
func TestLeaseMeetsDelete(t *testing.T) {
	w := newWorld(t)
	leased, deleted := 0, 0
	for i := range 60 {
		d := w.image(shop, fmt.Sprint("v", i)).Digest
		var leaseErr, deleteErr error
		var both sync.WaitGroup
		both.Go(func() { _, leaseErr = w.leaseAs("", "prod", d, time.Hour) })
		both.Go(func() { _, deleteErr = w.service.Delete(t.Context(), DeleteRequest{Image: shop, Digest: d}) })
		both.Wait()
		_, _, gone := w.registry.Manifest(t.Context(), shop, d)
		switch {
		case leaseErr == nil && (gone != nil || deleteErr == nil):
			t.Fatalf("leased, and deleted: %v, %v", deleteErr, gone)
		case deleteErr == nil && gone == nil:
			t.Fatal("deleted, and still there")
		case leaseErr == nil:
			leased++
		case deleteErr == nil:
			deleted++
		}
		for _, err := range []error{leaseErr, deleteErr} {
			if k := KindOf(err); k != "" && k != KindNotFound && k != KindConflict && k != KindDenied {
				t.Fatalf("a race ends with %v (%s)", err, k)
			}
		}
	}
	t.Logf("%d leased, %d deleted", leased, deleted)
	if leased+deleted == 0 {
		t.Error("every race ended with nothing done")
	}
}

// TestLeaseOfWhatJustWent: a lease that comes too late leaves nothing behind.
func TestLeaseOfWhatJustWent(t *testing.T) {
	w := newWorld(t)
	d := w.image(shop, "a").Digest
	hooked := &hookedPointers{Pointers: w.pointers}
	s := w.with(func(c *Config) { c.Pointers = hooked })
	hooked.before = func(name string) {
		if strings.HasPrefix(name, store.LeasesPrefix) {
			hooked.before = nil
			if _, err := w.service.Delete(t.Context(), DeleteRequest{Image: shop, Digest: d}); err != nil {
				t.Error(err)
			}
		}
	}
	_, err := s.Lease(t.Context(), LeaseRequest{Image: shop, Digest: d, Holder: "prod"})
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindNotFound {
		t.Errorf("lease of what just went: %v", err)
	}
	if left := w.pointersUnder(store.LeasesPrefix); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}
