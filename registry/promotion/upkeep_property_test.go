package promotion

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"kiln/registry/contentstore"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"
)

// contentCollector is the collector of cmd/kiln.
type contentCollector struct{ content *contentstore.Registry }

func (c contentCollector) Collect(ctx context.Context, p Collection) (CollectResult, error) {
	done, err := c.content.Collect(ctx, contentstore.CollectOptions{
		Roots: contentstore.Roots(p.Roots), Untagged: p.Untagged, Grace: p.Grace, Apply: p.Apply,
	})
	list := func(in []contentstore.Garbage) (out []Garbage) {
		for _, g := range in {
			out = append(out, Garbage{Kind: g.Kind, Image: g.Image, Digest: g.Digest, Size: g.Size})
		}
		return out
	}
	return CollectResult{Removed: list(done.Removed), Condemned: list(done.Condemned), Rescued: done.Rescued, Bytes: done.Bytes, BytesCondemned: done.BytesCondemned}, err
}

// collected is a world whose service collects, with a policy that allows all.
func collected(t testing.TB) *world {
	w := newWorld(t)
	w.later()
	w.service = w.with(func(c *Config) {
		c.Policy = w.open()
		c.Collector = contentCollector{w.registry.(*contentstore.Registry)}
	})
	return w
}

// whole says what is missing of a manifest; nil if nothing is.
func (w *world) whole(image string, d digest.Digest) error {
	_, content, err := w.registry.Manifest(w.Context(), image, d)
	if err != nil {
		return err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return err
	}
	for _, b := range append(m.Layers, m.Config) {
		r, err := w.registry.OpenBlob(w.Context(), image, b.Digest, 0, -1)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r)
		if r.Close(); err != nil {
			return err
		}
	}
	return nil
}

// keeping is the naive idea of what a store must keep: versions by number, each
// with what needs it.
type keeping struct {
	digests  []digest.Digest
	base     map[int]int // of a version that was baked on another
	tagged   map[int]bool
	promoted map[int]bool
	current  model
	leases   map[int]time.Time
}

// needs says what must be there: nothing else but a lease or a tag keeps it
// alive, or a version that is needed and was baked on it.
func (k *keeping) needs(i int, now time.Time) bool { return k.tagged[i] || k.bound(i, now) }

// bound says what neither a deletion nor a rule may take.
func (k *keeping) bound(i int, now time.Time) bool {
	if k.promoted[i] || now.Before(k.leases[i]) {
		return true
	}
	for child, base := range k.base {
		if base == i && k.needs(child, now) {
			return true
		}
	}
	return false
}

// TestNothingNeededIsCollected, FAULTS 40: whatever is baked, promoted, rolled
// back, leased, released, deleted, retired and collected, in whatever order
// and at whatever times, what something needs stays whole; and what nothing
// needs is gone once two collections have passed.
func TestNothingNeededIsCollected(t *testing.T) {
	fewer(t, 20)
	rapid.Check(t, func(rt *rapid.T) {
		w := collected(t)
		k := &keeping{base: map[int]int{}, tagged: map[int]bool{}, promoted: map[int]bool{}, leases: map[int]time.Time{}}
		k.bake(w, -1)
		for range rapid.IntRange(3, 14).Draw(rt, "steps") {
			w.clock.Add(time.Duration(rapid.IntRange(1, 90).Draw(rt, "minutes")) * time.Minute)
			k.step(rt, w, rapid.IntRange(0, 9).Draw(rt, "op"), rapid.IntRange(0, len(k.digests)-1).Draw(rt, "version"))
			k.check(rt, w)
		}
		for range 2 {
			k.collect(rt, w, nil)
			w.clock.Add(2 * time.Hour)
		}
		for i, d := range k.digests {
			now := w.clock.Now()
			if _, _, err := w.registry.Manifest(w.Context(), shop, d); err == nil && !k.needs(i, now.Add(-4*time.Hour-LeaseSkew)) {
				rt.Fatalf("version %d is kept for nothing", i)
			}
		}
		if _, err := w.service.History(w.Context(), HistoryRequest{Image: shop}); err != nil && len(k.current.steps()) > 0 {
			rt.Fatalf("history: %v", err)
		}
	})
}

// fewer has rapid try n times where nobody asked for another number: a try
// takes long.
func fewer(t *testing.T, n int) {
	checks := flag.Lookup("rapid.checks")
	if checks == nil || checks.Value.String() != checks.DefValue {
		return
	}
	if err := checks.Value.Set(fmt.Sprint(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := checks.Value.Set(checks.DefValue); err != nil {
			t.Error(err)
		}
	})
}

func (k *keeping) bake(w *world, base int) {
	i := len(k.digests)
	var on digest.Digest
	if base >= 0 {
		on, k.base[i] = k.digests[base], base
	}
	w.clock.Add(time.Second)
	k.digests = append(k.digests, w.imageOn(shop, fmt.Sprint("version ", i), on).Digest)
	k.tagged[i] = true
}

func (k *keeping) step(rt *rapid.T, w *world, op, i int) {
	ctx, d, now := w.Context(), k.digests[i], w.clock.Now()
	switch op {
	case 0, 1:
		base := -1
		if k.tagged[i] && op == 0 {
			base = i
		}
		k.bake(w, base)
	case 2, 3:
		_, err := w.service.Promote(ctx, PromoteRequest{Image: shop, Digest: d, Channel: "dev"})
		if (err == nil) != k.tagged[i] {
			rt.Fatalf("promote %d (tagged %v): %v", i, k.tagged[i], err)
		}
		if err == nil {
			k.promoted[i], k.current = true, k.current.promote(d)
		}
	case 4:
		p, err := w.service.Rollback(ctx, RollbackRequest{Image: shop, Channel: "dev"})
		if back := k.current.back(nil); err == nil && p.Digest != back || (err == nil) != (back != "") {
			rt.Fatalf("rollback to %s, want %s: %v", p.Digest, back, err)
		}
		if err == nil {
			k.current = k.current.rollback(nil)
		}
	case 5:
		l, err := w.service.Lease(ctx, LeaseRequest{Image: shop, Digest: d, Holder: "prod", Lifetime: Duration(time.Hour)})
		if err == nil {
			k.leases[i] = l.Expires
			k.orphan(w, i)
		} else if k.needs(i, now) {
			rt.Fatalf("lease %d: %v", i, err)
		}
	case 6:
		if w.service.Release(ctx, ReleaseRequest{Image: shop, Digest: d, Holder: "prod"}) == nil {
			delete(k.leases, i)
		}
	case 7:
		_, err := w.service.Delete(ctx, DeleteRequest{Image: shop, Digest: d})
		if err == nil && k.bound(i, now) {
			rt.Fatalf("deleted %d, which is needed", i)
		}
		if err == nil {
			k.tagged[i] = false
		}
	case 8:
		k.collect(rt, w, nil)
	case 9:
		k.collect(rt, w, []RetentionRule{{Image: "**", KeepLast: rapid.IntRange(1, 3).Draw(rt, "keep")}})
	}
}

// orphan forgets the bases of i that went while nothing needed i: what needs it
// from now on cannot bring them back.
func (k *keeping) orphan(w *world, i int) {
	for base, ok := k.base[i]; ok; base, ok = k.base[i] {
		if w.whole(shop, k.digests[base]) != nil {
			delete(k.base, i)
			return
		}
		i = base
	}
}

// collect compares what a run does with what a dry run said.
func (k *keeping) collect(rt *rapid.T, w *world, rules []RetentionRule) {
	req := CollectRequest{Grace: Duration(time.Hour), Retention: rules}
	dry, err := w.service.Collect(w.Context(), req)
	if err != nil {
		rt.Fatalf("dry run: %v", err)
	}
	req.Apply = true
	wet, err := w.service.Collect(w.Context(), req)
	if err != nil {
		rt.Fatalf("collect: %v", err)
	}
	order := func(a, b Garbage) int {
		return slices.Compare([]string{a.Kind, a.Image, string(a.Digest)}, []string{b.Kind, b.Image, string(b.Digest)})
	}
	for _, lists := range [][2][]Garbage{{dry.Removed, wet.Removed}, {dry.Condemned, wet.Condemned}} {
		slices.SortFunc(lists[0], order)
		slices.SortFunc(lists[1], order)
		if !slices.Equal(lists[0], lists[1]) {
			rt.Fatalf("a dry run said %v, the run did %v", lists[0], lists[1])
		}
	}
	if len(dry.Retired) != len(wet.Retired) || dry.Bytes != wet.Bytes || dry.BytesCondemned != wet.BytesCondemned {
		rt.Fatalf("a dry run said %+v, the run did %+v", dry, wet)
	}
	now := w.clock.Now()
	for _, r := range wet.Retired {
		i := slices.Index(k.digests, r.Digest)
		k.tagged[i] = false
		if k.bound(i, now) {
			rt.Fatalf("retired %d, which is needed", i)
		}
	}
}

func (k *keeping) check(rt *rapid.T, w *world) {
	now := w.clock.Now()
	for i, d := range k.digests {
		if k.tagged[i] != w.tagged(d) {
			rt.Fatalf("version %d has a tag: %v", i, !k.tagged[i])
		}
		if err := w.whole(shop, d); err != nil && k.needs(i, now) {
			rt.Fatalf("version %d is needed, and: %v", i, err)
		}
	}
}

// TestLeaseMeetsCollection, FAULTS 40: a lease that is acknowledged while what
// it is about is being collected holds it.
func TestLeaseMeetsCollection(t *testing.T) {
	w := collected(t)
	held, lost := 0, 0
	for round := range 15 {
		var all []digest.Digest
		for i := range 6 {
			all = append(all, w.stored(shop, fmt.Sprint("round ", round, " ", i)).Digest) // without a tag
		}
		w.clock.Add(2 * time.Hour) // older than the grace
		collect := func() {
			if _, err := w.service.Collect(w.Context(), CollectRequest{Apply: true, Grace: Duration(time.Hour)}); err != nil {
				t.Error(err)
			}
		}
		collect()
		w.clock.Add(2 * time.Hour)
		var wg sync.WaitGroup
		leased := make([]error, len(all))
		wg.Go(collect)
		for i, d := range all {
			wg.Go(func() {
				time.Sleep(time.Duration(i*i) * time.Millisecond / 2)
				_, leased[i] = w.service.Lease(w.Context(), LeaseRequest{Image: shop, Digest: d, Holder: "prod", Lifetime: Duration(MaxLease)})
			})
		}
		wg.Wait()
		collect()
		w.clock.Add(2 * time.Hour)
		collect()
		for i, d := range all {
			err := w.whole(shop, d)
			switch kind := KindOf(leased[i]); {
			case kind == "" && err != nil:
				t.Fatalf("round %d: version %d is leased, and: %v", round, i, err)
			case kind == "":
				held++
			case kind == KindNotFound, kind == KindConflict:
				lost++
			default:
				t.Fatalf("round %d: lease: %v", round, leased[i])
			}
		}
	}
	t.Logf("%d held, %d came too late", held, lost)
	if held == 0 {
		t.Error("no lease came in time")
	}
}

// TestPromotionsMeetCollections, FAULTS 40: beside collections with the least
// grace and rules that retire all they can, every promotion that is
// acknowledged holds what it says, and its ledger stays whole.
func TestPromotionsMeetCollections(t *testing.T) {
	w := newWorld(t)
	content := contentstore.New(w.store, w.pointers, contentstore.Options{})
	w.registry = content
	w.service = w.with(func(c *Config) {
		c.Policy, c.Collector, c.Now = w.open(), contentCollector{content}, time.Now
	})
	var held []digest.Digest
	for round := range 3 {
		var all []digest.Digest
		for i := range 12 {
			all = append(all, w.image(shop, fmt.Sprint(round, " ", i), fmt.Sprintf("202603%02dT1200%02dZ-0123456789ab", round+1, i)).Digest)
		}
		time.Sleep(MinGrace) // now they may go
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := w.service.Collect(context.Background(), CollectRequest{
				Apply: true, Grace: Duration(MinGrace), Retention: []RetentionRule{{Image: "**", KeepLast: 1}},
			})
			if err != nil {
				t.Error(err)
			}
		})
		for _, d := range all {
			_, err := w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: d, Channel: "dev"})
			switch kind := KindOf(err); {
			case err == nil:
				held = append(held, d)
			case kind != KindDenied && kind != KindNotFound:
				t.Errorf("promote: %v", err)
			}
		}
		wg.Wait()
	}
	for _, d := range held {
		if err := w.whole(shop, d); err != nil || !w.tagged(d) {
			t.Errorf("%s was promoted, and: %v, tag %v", d, err, w.tagged(d))
		}
	}
	h, err := w.service.History(t.Context(), HistoryRequest{Image: shop, Limit: MaxLimit})
	if err != nil || len(h.Entries) != len(held) {
		t.Errorf("%d records of %d promotions: %v", len(h.Entries), len(held), err)
	}
	t.Logf("%d of 36 promoted", len(held))
	if len(held) == 0 {
		t.Error("nothing was promoted")
	}
}
