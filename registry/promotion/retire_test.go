package promotion

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// hookedPointers calls before ahead of each write. Like a bucket whose ETags
// are hashes it takes a pointer that came back as it was for one that never
// moved.
type hookedPointers struct {
	store.Pointers
	before func(name string)
}

func (h *hookedPointers) Swap(ctx context.Context, old store.Pointer, next []byte) (store.Pointer, error) {
	if h.before != nil {
		h.before(old.Name)
	}
	if now, err := h.Load(ctx, old.Name); err == nil && old.Exists() && bytes.Equal(now.Value, old.Value) {
		old = now
	}
	return h.Pointers.Swap(ctx, old, next)
}

// whenState calls do once, ahead of the next write of shop's state.
func (h *hookedPointers) whenState(do func()) {
	h.before = func(name string) {
		if name == store.StatePointer(shop) {
			h.before = nil
			do()
		}
	}
}

// racing is a world whose second service lets the first go ahead.
func racing(t *testing.T) (*world, *Service, *hookedPointers) {
	w := newWorld(t)
	w.later()
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	h := &hookedPointers{Pointers: w.pointers}
	return w, w.with(func(c *Config) { c.Policy = w.open(); c.Pointers = h }), h
}

// later moves the clock behind the times that the store gives its objects.
func (w *world) later() { w.clock.Add(time.Since(w.clock.Now()) + day) }

func (w *world) tagged(d digest.Digest) bool {
	w.Helper()
	tags, err := w.service.versionTags(w.Context(), shop, d)
	if err != nil {
		w.Fatal(err)
	}
	return len(tags) > 0
}

// TestPromoteMeetsRemoval, FAULTS 40 and 41: however a promotion and the
// removal of the version cross, a channel never ends on what was removed.
func TestPromoteMeetsRemoval(t *testing.T) {
	removals := map[string]func(*Service, digest.Digest) error{
		"delete": func(s *Service, d digest.Digest) error {
			_, err := s.Delete(context.Background(), DeleteRequest{Image: shop, Digest: d})
			return err
		},
		"retire": func(s *Service, d digest.Digest) error {
			v := s.view([]RetentionRule{{Image: "**", KeepLast: 1}})
			list, _, err := v.retirements(context.Background(), 0)
			if err != nil {
				return err
			}
			_, err = v.retireAll(context.Background(), list)
			return err
		},
		"tag": func(s *Service, d digest.Digest) error {
			tags, err := s.versionTags(context.Background(), shop, d)
			for _, tag := range tags {
				err = Channels(s.registry, s).DeleteTag(context.Background(), shop, tag)
			}
			return err
		},
	}
	promote := func(s *Service, d digest.Digest) error {
		_, err := s.Promote(context.Background(), PromoteRequest{Image: shop, Digest: d, Channel: "dev"})
		return err
	}
	for name, remove := range removals {
		t.Run("removed ahead of the swap of a promotion/"+name, func(t *testing.T) {
			w, slow, h := racing(t)
			w.to("staging", w.image(shop, "before").Digest) // so that there is a state
			d := w.image(shop, "old").Digest
			w.clock.Add(time.Minute)
			w.image(shop, "new")
			h.whenState(func() {
				if err := remove(w.service, d); err != nil {
					t.Error(err)
				}
			})
			err := promote(slow, d)
			if KindOf(err) != KindDenied && KindOf(err) != KindNotFound {
				t.Errorf("promoted what was removed: %v", err)
			}
			w.holds("dev", "")
			if w.tagged(d) {
				t.Error("it was not removed")
			}
		})
		t.Run("promoted ahead of the announcement/"+name, func(t *testing.T) {
			w, slow, h := racing(t)
			d := w.image(shop, "old").Digest
			w.clock.Add(time.Minute)
			w.image(shop, "new")
			h.whenState(func() {
				if err := promote(w.service, d); err != nil {
					t.Error(err)
				}
			})
			err := remove(slow, d)
			if name != "retire" && KindOf(err) != KindDenied || name == "retire" && err != nil {
				t.Errorf("removed what was promoted: %v", err)
			}
			w.holds("dev", d)
			if !w.tagged(d) {
				t.Error("it lost its tag")
			}
			if _, _, err := w.registry.Manifest(t.Context(), shop, d); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRemovalsRacePromotions does so by chance, with all of them at once.
func TestRemovalsRacePromotions(t *testing.T) {
	w := newWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	var all []digest.Digest
	for i := range 12 {
		all = append(all, w.image(shop, fmt.Sprint(i)).Digest)
		w.clock.Add(time.Second)
	}
	var wg sync.WaitGroup
	for _, d := range all {
		wg.Go(func() {
			_, _ = w.service.Promote(context.Background(), PromoteRequest{Image: shop, Digest: d, Channel: "dev"})
		})
		wg.Go(func() {
			_, _ = w.service.Delete(context.Background(), DeleteRequest{Image: shop, Digest: d})
		})
	}
	wg.Wait()
	promoted := 0
	for _, d := range all {
		st, err := w.service.state(t.Context(), shop)
		if err != nil {
			t.Fatal(err)
		}
		was, err := w.service.reached(t.Context(), shop, "dev", d, st)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = w.registry.Manifest(t.Context(), shop, d)
		if was && (err != nil || !w.tagged(d)) {
			t.Errorf("%s was promoted, and it is gone: %v", d, err)
		}
		if was {
			promoted++
		}
		if len(st.Retiring) != 0 {
			t.Errorf("left over: %v", st.Retiring)
		}
	}
	t.Logf("%d of %d promoted", promoted, len(all))
}

// TestAbandonedRemoval, FAULTS 38: a removal whose process died holds up
// promotions of that version for an hour, and nothing else.
func TestAbandonedRemoval(t *testing.T) {
	w := newWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	d, other := w.image(shop, "a").Digest, w.image(shop, "b").Digest
	_, err := w.service.announce(t.Context(), shop, "dead", true, func(context.Context, snapshot) (chosen, error) {
		return chosen{d: nil}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	promote := func(d digest.Digest) error {
		_, err := w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: d, Channel: "dev"})
		return err
	}
	want(t, promote(d), KindDenied, "being removed")
	_, err = w.leaseAs("", "prod", d, time.Hour)
	want(t, err, KindConflict, "being removed")
	_, err = w.service.Delete(t.Context(), DeleteRequest{Image: shop, Digest: d})
	want(t, err, KindConflict, "being removed")
	if err := promote(other); err != nil {
		t.Error(err)
	}
	w.clock.Add(abandoned)
	if _, err := w.leaseAs("", "prod", d, time.Hour); err != nil {
		t.Error(err)
	}
	if err := promote(d); err != nil {
		t.Error(err)
	}
	if st, err := w.service.state(t.Context(), shop); err != nil || len(st.Retiring) != 0 {
		t.Errorf("the announcement outlives the promotion: %v, %v", st.Retiring, err)
	}
}

func TestDelete(t *testing.T) {
	w := newWorld(t)
	d := w.baked(shop, "a")
	_, content, err := w.registry.Manifest(t.Context(), shop, d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.registry.PushManifest(t.Context(), shop, registry.Manifest{Content: content, MediaType: ocispec.MediaTypeImageManifest, Tags: []string{"latest"}}); err != nil {
		t.Fatal(err)
	}
	out, err := w.service.Delete(t.Context(), DeleteRequest{Image: shop, Digest: d})
	if err != nil {
		t.Fatal(err)
	}
	if out.Schema != DeletionSchema || out.Image != shop || out.Digest != d || len(out.Tags) != 2 || out.Tags[1] != "latest" || len(out.Attached) < 4 {
		t.Errorf("deletion %+v", out)
	}
	for _, gone := range append(out.Attached, d) {
		if _, _, err := w.registry.Manifest(t.Context(), shop, gone); registry.ErrorCode(err) != registry.CodeManifestUnknown {
			t.Errorf("%s is still there: %v", gone, err)
		}
	}
	if w.tagged(d) {
		t.Error("its tag is still there")
	}
	_, err = w.registry.PushManifest(t.Context(), shop, registry.Manifest{Content: []byte(`{}`), Tags: out.Tags[:1]})
	if err == nil {
		t.Error("its tag can be used again")
	}
	_, err = w.service.Delete(t.Context(), DeleteRequest{Image: shop, Digest: d})
	want(t, err, KindNotFound, "has no version")
}

// TestDeleteIsRefused while something needs the version; FAULTS 7: nor is there
// a way around by digest, by tag, or through its evidence.
func TestDeleteIsRefused(t *testing.T) {
	w := newWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	reg := Channels(w.registry, w.service)
	held, past, leased, free := w.image(shop, "held"), w.image(shop, "past"), w.image(shop, "leased"), w.image(shop, "free")
	w.clock.Add(time.Second)
	parent := w.image(shop, "parent")
	child := w.imageOn("acme/child", "child", parent.Digest)
	w.to("dev", past.Digest)
	w.to("dev", held.Digest)
	w.mustLease("prod", leased.Digest, time.Hour)
	for _, c := range []struct {
		d    digest.Digest
		text string
	}{
		{held.Digest, "channel dev of acme/shop holds it"},
		{past.Digest, "was promoted to dev"},
		{leased.Digest, "prod leases it until"},
		{parent.Digest, "acme/child@" + string(child.Digest) + " is baked on it"},
	} {
		_, err := w.service.Delete(t.Context(), DeleteRequest{Image: shop, Digest: c.d})
		if e := want(t, err, KindDenied, c.text); len(e.Reasons) != 1 || e.Reasons[0].Fix == "" {
			t.Errorf("reasons %+v", e.Reasons)
		}
		tags, err := w.service.versionTags(t.Context(), shop, c.d)
		if err != nil || len(tags) != 1 {
			t.Fatalf("%v, %v", tags, err)
		}
		denied(t, reg.DeleteManifest(t.Context(), shop, c.d), c.text)
		denied(t, reg.DeleteTag(t.Context(), shop, tags[0]), c.text)
		denied(t, reg.DeleteTag(t.Context(), shop, strings.Replace(string(c.d), ":", "-", 1)+".sig"), c.text)
	}
	// By digest, a version tag that nothing needs is no way around either.
	denied(t, reg.DeleteManifest(t.Context(), shop, free.Digest), "delete that tag first")
	st, err := w.service.state(t.Context(), shop)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.service.Delete(t.Context(), DeleteRequest{Image: shop, Digest: st.Head})
	want(t, err, KindDenied, "is a record of the ledger")
	// What the child needed goes with it, and so does what is released.
	if _, err := w.service.Delete(t.Context(), DeleteRequest{Image: "acme/child", Digest: child.Digest}); err != nil {
		t.Error(err)
	}
	if err := w.service.Release(t.Context(), ReleaseRequest{Image: shop, Digest: leased.Digest, Holder: "prod"}); err != nil {
		t.Error(err)
	}
	for _, d := range []digest.Digest{parent.Digest, leased.Digest, free.Digest} {
		if _, err := w.service.Delete(t.Context(), DeleteRequest{Image: shop, Digest: d}); err != nil {
			t.Error(err)
		}
	}
}

// TestDeleteOfAPart: what a version is made of stays as long as that.
func TestDeleteOfAPart(t *testing.T) {
	w := newWorld(t)
	part := w.image(shop, "part")
	index := []byte(fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		part.MediaType, part.Digest, part.Size))
	whole, err := w.registry.PushManifest(t.Context(), shop, registry.Manifest{
		MediaType: "application/vnd.oci.image.index.v1+json", Content: index, Tags: []string{"20260301T120001Z-0123456789ab"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.service.Delete(t.Context(), DeleteRequest{Image: shop, Digest: part.Digest})
	want(t, err, KindDenied, "is made of it")
	if !w.tagged(part.Digest) {
		t.Error("it lost its tag")
	}
	for _, d := range []digest.Digest{whole.Digest, part.Digest} {
		if _, err := w.service.Delete(t.Context(), DeleteRequest{Image: shop, Digest: d}); err != nil {
			t.Error(err)
		}
	}
}

// TestKeptHistory: with a rule, only the newest of what a channel held stay.
func TestKeptHistory(t *testing.T) {
	w := newWorld(t)
	w.service = w.with(func(c *Config) {
		c.Policy = w.open()
		c.Retention = []RetentionRule{{Image: "acme/*", History: 2}}
	})
	var all []digest.Digest
	for i := range 5 {
		all = append(all, w.image(shop, fmt.Sprint(i)).Digest)
		w.to("dev", all[i])
	}
	w.to("dev", all[3]) // again: dev held 0 1 2 3 4 3
	for i, stays := range []bool{false, false, true, true, true} {
		_, err := w.service.Delete(t.Context(), DeleteRequest{Image: shop, Digest: all[i]})
		if stays != (KindOf(err) == KindDenied) || !stays && err != nil {
			t.Errorf("version %d stays: want %v, got %v", i, stays, err)
		}
		if stays != w.rooted(all[i]) {
			t.Errorf("version %d is a root: want %v", i, stays)
		}
	}
	// A rollback skips what is gone.
	p, err := w.service.Rollback(t.Context(), RollbackRequest{Image: shop, Channel: "dev"})
	if err != nil || p.Digest != all[4] {
		t.Errorf("rollback to %s: %v", p.Digest, err)
	}
	p, err = w.service.Rollback(t.Context(), RollbackRequest{Image: shop, Channel: "dev"})
	if err != nil || p.Digest != all[2] {
		t.Errorf("rollback to %s: %v", p.Digest, err)
	}
	_, err = w.service.Rollback(t.Context(), RollbackRequest{Image: shop, Channel: "dev"})
	want(t, err, KindNotFound, "nothing to go back to")
	_, err = w.service.Rollback(t.Context(), RollbackRequest{Image: shop, Channel: "dev", To: all[0]})
	want(t, err, KindNotFound, "has no version")
}
