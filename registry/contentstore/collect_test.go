package contentstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/registrytest"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const other = "acme/base"

// TestCollectKeeps: each case builds something and says which manifests of repo
// are to stay; what else there is goes, with all its blobs and entries.
func TestCollectKeeps(t *testing.T) {
	for name, build := range map[string]func(t *testing.T, w *world) []digest.Digest{
		"nothing": func(t *testing.T, w *world) []digest.Digest {
			registrytest.PushImage(t, w.r, repo, "untagged", nil)
			registrytest.PushBlob(t, w.r, repo, "", "of nothing")
			return nil
		},
		"tags": func(t *testing.T, w *world) []digest.Digest {
			registrytest.PushImage(t, w.r, repo, "old", []string{"latest"})
			a := registrytest.PushImage(t, w.r, repo, "new", []string{"latest", "v1"})
			b := registrytest.PushImage(t, w.r, repo, "version", []string{version})
			return []digest.Digest{a.Digest, b.Digest}
		},
		"a tombstone keeps nothing": func(t *testing.T, w *world) []digest.Digest {
			registrytest.PushImage(t, w.r, repo, "version", []string{version}, withParent(digest.FromString("base")))
			if err := w.r.DeleteTag(t.Context(), repo, version); err != nil {
				t.Fatal(err)
			}
			return nil
		},
		"indexes": func(t *testing.T, w *world) []digest.Digest {
			a, b := registrytest.PushImage(t, w.r, repo, "a", nil), registrytest.PushImage(t, w.r, repo, "b", nil)
			inner := pushIndex(t, w.r, repo, []ocispec.Descriptor{a})
			outer := pushIndex(t, w.r, repo, []ocispec.Descriptor{inner, b}, "multi")
			registrytest.PushImage(t, w.r, repo, "c", nil)
			return []digest.Digest{a.Digest, b.Digest, inner.Digest, outer.Digest}
		},
		"referrers": func(t *testing.T, w *world) []digest.Digest {
			a := registrytest.PushImage(t, w.r, repo, "a", []string{"latest"})
			sig := registrytest.PushImage(t, w.r, repo, "sig", nil, withSubject(a))
			onSig := registrytest.PushImage(t, w.r, repo, "on sig", nil, withSubject(sig))
			gone := registrytest.PushImage(t, w.r, repo, "gone", nil)
			registrytest.PushImage(t, w.r, repo, "sig of gone", nil, withSubject(gone))
			registrytest.PushImage(t, w.r, repo, "sig of none", nil, withSubject(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("none"), Size: 4}))
			return []digest.Digest{a.Digest, sig.Digest, onSig.Digest}
		},
		"cosign's tags": func(t *testing.T, w *world) []digest.Digest {
			a := registrytest.PushImage(t, w.r, repo, "a", []string{"latest"})
			sig := registrytest.PushImage(t, w.r, repo, "sig", []string{cosignTag(a.Digest, ".sig")})
			gone := registrytest.PushImage(t, w.r, repo, "gone", nil)
			registrytest.PushImage(t, w.r, repo, "sig of gone", []string{cosignTag(gone.Digest, ".sig")})
			registrytest.PushImage(t, w.r, repo, "sig of none", []string{cosignTag(digest.FromString("none"), ".att")})
			return []digest.Digest{a.Digest, sig.Digest}
		},
		"cosign's tags in another image": func(t *testing.T, w *world) []digest.Digest {
			a := registrytest.PushImage(t, w.r, other, "a", []string{"latest"})
			sig := registrytest.PushImage(t, w.r, repo, "sig", []string{cosignTag(a.Digest, ".sig")})
			return []digest.Digest{sig.Digest}
		},
		"parents": func(t *testing.T, w *world) []digest.Digest {
			base := registrytest.PushImage(t, w.r, repo, "base", nil)
			registrytest.PushImage(t, w.r, other, "child", []string{version}, withParent(base.Digest))
			return []digest.Digest{base.Digest}
		},
		"roots": func(t *testing.T, w *world) []digest.Digest {
			a, b := registrytest.PushImage(t, w.r, repo, "a", nil), registrytest.PushImage(t, w.r, repo, "b", nil)
			w.keep(repo, a.Digest)
			w.keep("", b.Digest)
			w.keep("no/such", digest.FromString("x"))
			return []digest.Digest{a.Digest, b.Digest}
		},
		"a record whose subject is gone": func(t *testing.T, w *world) []digest.Digest {
			gone := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("gone"), Size: 4}
			record := registrytest.PushImage(t, w.r, repo, "record", nil, withSubject(gone), func(m *ocispec.Manifest) {
				m.ArtifactType = "application/vnd.kiln.promotion.v1+json"
			})
			w.keep(repo, record.Digest)
			return []digest.Digest{record.Digest}
		},
		"shared blobs": func(t *testing.T, w *world) []digest.Digest {
			registrytest.PushImage(t, w.r, other, "shared", nil)
			a := registrytest.PushImage(t, w.r, repo, "shared", []string{"latest"})
			return []digest.Digest{a.Digest}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			want := build(t, w)
			w.collect(t, true) // all is young
			w.settle(t)
			w.wantExact(t)
			links := map[string]bool{}
			for name := range w.snapshot(t) {
				if strings.HasPrefix(name, store.ImageKey(repo)+"manifests/") {
					links[name] = true
				}
			}
			for _, d := range want {
				if !links[store.ManifestLinkKey(repo, d)] {
					t.Errorf("%s is gone", d)
				}
			}
			if len(links) != len(want) {
				t.Errorf("%d manifests are left, want %d", len(links), len(want))
			}
		})
	}
}

func cosignTag(d digest.Digest, suffix string) string {
	return strings.Replace(string(d), ":", "-", 1) + suffix
}

// TestCollectLinksRecordLater: a record that the ledger's head names is a blob
// until it is linked as a manifest; what it names stays all the same.
func TestCollectLinksRecordLater(t *testing.T) {
	w := newWorld()
	layer := registrytest.PushBlob(t, w.r, repo, "application/vnd.dsse.envelope.v1+json", "envelope")
	config := registrytest.PushBlob(t, w.r, repo, ocispec.MediaTypeEmptyJSON, "{}")
	content := mustJSON(ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{layer}})
	record := registrytest.PushBlob(t, w.r, repo, "", string(content))
	w.keep(repo, record.Digest)
	w.settle(t)
	for _, d := range []digest.Digest{layer.Digest, config.Digest, record.Digest} {
		if _, err := w.r.StatBlob(t.Context(), repo, d); err != nil {
			t.Error(err)
		}
	}
	w.release(repo, record.Digest)
	w.settle(t)
	w.wantExact(t)
}

// TestCollectGrace: nothing goes before it was condemned for a grace, and what
// a dry run tells is what a run does.
func TestCollectGrace(t *testing.T) {
	w := newWorld()
	registrytest.PushImage(t, w.r, repo, "layer", nil)
	step := func(apply bool, removed, condemned int) {
		t.Helper()
		before := w.snapshot(t)
		c := w.collect(t, apply)
		if len(c.Removed) != removed || len(c.Condemned) != condemned {
			t.Fatalf("removed %v, condemned %v", c.Removed, c.Condemned)
		}
		if !apply && !maps.Equal(before, w.snapshot(t)) {
			t.Fatal("a dry run wrote")
		}
	}
	const all = 6 // manifest link, two blob links, three blobs
	step(true, 0, 0)
	w.pass(23 * time.Hour)
	step(true, 0, 0)
	w.pass(2 * time.Hour)
	step(false, 0, all)
	step(true, 0, all)
	step(true, 0, 0)
	w.pass(23 * time.Hour)
	step(true, 0, 0)
	w.pass(2 * time.Hour)
	step(false, all, 0)
	c := w.collect(t, true)
	if len(c.Removed) != all || c.Bytes < int64(len("layer")) {
		t.Errorf("removed %v, %d bytes", c.Removed, c.Bytes)
	}
	step(true, 0, 0)
	w.wantExact(t)
}

func TestCollectOptions(t *testing.T) {
	r := newWorld().r
	if _, err := r.Collect(t.Context(), contentstore.CollectOptions{}); err == nil || !strings.Contains(err.Error(), "no roots") {
		t.Errorf("without roots: %v", err)
	}
	none := func(context.Context, func(string, digest.Digest)) error { return nil }
	if _, err := r.Collect(t.Context(), contentstore.CollectOptions{Roots: none, Grace: time.Millisecond}); err == nil {
		t.Error("a grace of a millisecond is taken")
	}
}

// TestCollectSharedIndexes: indexes that share their children 40 levels deep
// are walked once each (FAULTS 5), by writer and by collector.
func TestCollectSharedIndexes(t *testing.T) {
	w := newWorld()
	child := registrytest.PushImage(t, w.r, repo, "leaf", nil)
	for range 40 {
		twin := child
		twin.Annotations = map[string]string{"twin": "yes"}
		child = pushIndex(t, w.r, repo, []ocispec.Descriptor{child, twin})
	}
	if err := w.r.Rescue(t.Context(), repo, child.Digest); err != nil {
		t.Fatal(err)
	}
	w.keep(repo, child.Digest)
	w.settle(t)
	w.wantExact(t)
	w.release(repo, child.Digest)
	w.settle(t)
	w.wantExact(t)
}

// TestCollectTellsYoung: what is unreached and too young is told, and is what
// is condemned once it is due.
func TestCollectTellsYoung(t *testing.T) {
	w := newWorld()
	kept := registrytest.PushImage(t, w.r, repo, "tagged", []string{"latest"})
	registrytest.PushImage(t, w.r, repo, "sig", nil, withSubject(kept))
	if y := w.collect(t, false).Young; y.Count != 0 {
		t.Errorf("what is reached counts as young: %+v", y)
	}
	registrytest.PushImage(t, w.r, repo, "untagged", nil)
	registrytest.PushBlob(t, w.r, repo, "", "of nothing")
	young := w.collect(t, false)
	if len(young.Condemned) != 0 || young.Young.Count == 0 || young.Young.Due.IsZero() {
		t.Fatalf("%+v", young)
	}
	if applied := w.collect(t, true).Young; applied != young.Young {
		t.Errorf("a run with Apply tells %+v, a dry one %+v", applied, young.Young)
	}
	w.pass(25 * time.Hour)
	due := w.collect(t, false)
	if len(due.Condemned) != young.Young.Count || due.BytesCondemned != young.Young.Bytes || due.Young.Count != 0 {
		t.Errorf("told %+v, condemns %d of %d bytes and tells %+v", young.Young, len(due.Condemned), due.BytesCondemned, due.Young)
	}
}

// TestCollectIncomplete: a view that is not whole collects nothing (FAULTS 40,
// zot #2625), and the next whole one does.
func TestCollectIncomplete(t *testing.T) {
	errBroken := errors.New("broken")
	for name, breakIt := range map[string]func(w *world, tagged, untagged digest.Digest) (mend func()){
		"listing of objects": func(w *world, _, _ digest.Digest) func() {
			return w.m.failing("list", func(key string) bool { return strings.HasPrefix(key, store.ImagesPrefix) }, errBroken)
		},
		"listing of bytes": func(w *world, _, _ digest.Digest) func() {
			return w.m.failing("list", func(key string) bool { return strings.HasPrefix(key, store.BlobsPrefix) }, errBroken)
		},
		"listing of tags": func(w *world, _, _ digest.Digest) func() {
			return w.m.failing("listed", func(key string) bool { return strings.Contains(key, "/tags/") }, errBroken)
		},
		"listing of marks": func(w *world, _, _ digest.Digest) func() {
			return w.m.failing("listed", func(key string) bool { return strings.HasPrefix(key, "gc/sha256") }, errBroken)
		},
		"manifest that cannot be read": func(w *world, tagged, _ digest.Digest) func() {
			return w.m.failing("open", func(key string) bool { return key == store.BlobKey(tagged) }, errBroken)
		},
		"manifest without bytes": func(w *world, tagged, _ digest.Digest) func() {
			return w.m.replaced(store.BlobKey(tagged), nil)
		},
		"manifest with other bytes": func(w *world, tagged, _ digest.Digest) func() {
			return w.m.replaced(store.BlobKey(tagged), []byte(`{"schemaVersion":2}`))
		},
		"damaged tag": func(w *world, _, _ digest.Digest) func() {
			return w.m.damaged(store.TagPointer(repo, "latest"))
		},
		"damaged mark": func(w *world, _, untagged digest.Digest) func() {
			return w.m.damaged(store.GCPrefix + string(untagged))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			tagged := registrytest.PushImage(t, w.r, repo, "tagged", []string{"latest"})
			untagged := registrytest.PushImage(t, w.r, repo, "untagged", nil)
			w.pass(25 * time.Hour)
			w.collect(t, true)
			w.pass(25 * time.Hour)
			before := w.snapshot(t)
			mend := breakIt(w, tagged.Digest, untagged.Digest)
			c, err := w.r.Collect(t.Context(), w.options(true))
			if !errors.Is(err, contentstore.ErrIncomplete) || len(c.Removed) > 0 {
				t.Errorf("removed %v, %v", c.Removed, err)
			}
			mend()
			if !maps.Equal(before, w.snapshot(t)) {
				t.Error("it wrote")
			}
			w.settle(t)
			w.wantExact(t)
		})
	}
	t.Run("roots", func(t *testing.T) {
		w := newWorld()
		registrytest.PushImage(t, w.r, repo, "untagged", nil)
		w.pass(25 * time.Hour)
		o := w.options(true)
		o.Roots = func(context.Context, func(string, digest.Digest)) error { return errBroken }
		if _, err := w.r.Collect(t.Context(), o); !errors.Is(err, contentstore.ErrIncomplete) || !errors.Is(err, errBroken) {
			t.Errorf("got %v", err)
		}
	})
}

// TestCollectSecondViewIncomplete: the first listing is whole, the one before
// the deletion is not.
func TestCollectSecondViewIncomplete(t *testing.T) {
	w := newWorld()
	registrytest.PushImage(t, w.r, repo, "tagged", []string{"latest"})
	registrytest.PushImage(t, w.r, repo, "untagged", nil)
	w.pass(25 * time.Hour)
	w.collect(t, true)
	w.pass(25 * time.Hour)
	objects := w.m.names(store.ImagesPrefix, "", false)
	o, calls := w.options(true), 0
	o.Roots = func(context.Context, func(string, digest.Digest)) error {
		if calls++; calls > 1 {
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	if _, err := w.r.Collect(t.Context(), o); !errors.Is(err, contentstore.ErrIncomplete) {
		t.Fatalf("got %v", err)
	}
	if got := w.m.names(store.ImagesPrefix, "", false); len(got) != len(objects) {
		t.Errorf("%d objects of %d are left", len(got), len(objects))
	}
	// The marks are left at deleting; with no collector about, a writer need
	// not wait for the next.
	registrytest.PushImage(t, w.r, repo, "untagged", []string{"again"})
	w.settle(t)
	w.wantExact(t)
}

// TestCollectShortListings: a listing that ends early, without an error, is
// gone on with.
func TestCollectShortListings(t *testing.T) {
	w := newWorld()
	for i := range 5 {
		a := registrytest.PushImage(t, w.r, repo, fmt.Sprint("tagged ", i), []string{fmt.Sprint("t", i)})
		registrytest.PushImage(t, w.r, repo, fmt.Sprint("sig ", i), nil, withSubject(a))
	}
	w.m.page = 3
	w.settle(t)
	w.m.page = 0
	w.wantExact(t)
	if got := len(w.m.names(store.ImageKey(repo)+"manifests/", "", false)); got != 10 {
		t.Errorf("%d manifests of 10 are left", got)
	}
	// What even then is not listed, but known otherwise, is missed.
	w.m.setHook(func(_ context.Context, op, key string) error {
		if op == "list" && strings.HasPrefix(key, store.ImagesPrefix) {
			return errEnd
		}
		return nil
	})
	w.pass(25 * time.Hour)
	if c, err := w.r.Collect(t.Context(), w.options(true)); !errors.Is(err, contentstore.ErrIncomplete) {
		t.Errorf("nothing is listed: condemned %v, %v", c.Condemned, err)
	}
}

// failing makes steps fail until it is mended.
func (m *memory) failing(op string, match func(key string) bool, err error) func() {
	m.setHook(func(_ context.Context, o, key string) error {
		if o == op && match(key) {
			return err
		}
		return nil
	})
	return func() { m.setHook(nil) }
}

// replaced removes an object, or gives it other bytes, until it is mended.
func (m *memory) replaced(key string, data []byte) func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.objects[key]
	if data == nil {
		delete(m.objects, key)
	} else {
		m.objects[key] = memoryObject{data, was.at}
	}
	return func() { m.objects[key] = was }
}

func (m *memory) damaged(name string) func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.pointers[name]
	m.pointers[name] = store.Pointer{Name: name, Revision: was.Revision, Value: []byte("{")}
	return func() { m.pointers[name] = was }
}

// TestRescue: what callers learn of a root that they have just stored.
func TestRescue(t *testing.T) {
	w := newWorld()
	a := registrytest.PushImage(t, w.r, repo, "a", nil)
	sig := registrytest.PushImage(t, w.r, repo, "sig", nil, withSubject(a))
	w.pass(25 * time.Hour)
	w.collect(t, true)
	w.pass(25 * time.Hour)
	if err := w.r.Rescue(t.Context(), repo, a.Digest); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it is as good as young
		if c := w.collect(t, true); len(c.Removed)+len(c.Condemned) > 0 {
			t.Errorf("rescued, but removed %v, condemned %v", c.Removed, c.Condemned)
		}
		w.pass(23 * time.Hour)
	}
	if _, _, err := w.r.Manifest(t.Context(), repo, sig.Digest); err != nil {
		t.Errorf("its signature: %v", err)
	}
	w.settle(t)
	if err := w.r.Rescue(t.Context(), repo, a.Digest); !errors.Is(err, registry.CodeManifestUnknown) {
		t.Errorf("after it is gone: %v", err)
	}
}

// TestStatBlobRescues: who was told that a blob is there has a grace to name it.
func TestStatBlobRescues(t *testing.T) {
	w := newWorld()
	blob := registrytest.PushBlob(t, w.r, repo, "", "blob")
	w.pass(25 * time.Hour)
	w.collect(t, true)
	w.pass(25 * time.Hour)
	if _, err := w.r.StatBlob(t.Context(), repo, blob.Digest); err != nil {
		t.Fatal(err)
	}
	w.collect(t, true)
	w.pass(23 * time.Hour)
	w.collect(t, true)
	if _, err := w.r.StatBlob(t.Context(), repo, blob.Digest); err != nil {
		t.Errorf("gone within the grace: %v", err)
	}
}

// TestCollectKeepsManifestsWhole: where a manifest was condemned later than its
// blobs, they wait for it.
func TestCollectKeepsManifestsWhole(t *testing.T) {
	w := newWorld()
	a := registrytest.PushImage(t, w.r, repo, "a", nil)
	w.pass(25 * time.Hour)
	mend := w.m.failing("swap", func(key string) bool { return key == store.GCPrefix+string(a.Digest) }, errDead)
	for range 20 { // others get their marks first
		if _, err := w.r.Collect(t.Context(), w.options(true)); err == nil {
			t.Fatal("the mark was swapped")
		}
	}
	mend()
	w.pass(12 * time.Hour)
	w.collect(t, true)
	w.pass(13 * time.Hour)
	w.collect(t, true)
	if _, _, err := w.r.Manifest(t.Context(), repo, a.Digest); err != nil {
		t.Fatal(err)
	}
	if _, err := w.r.StatBlob(t.Context(), repo, digest.FromString("a")); err != nil {
		t.Error(err)
	}
	w.settle(t)
	w.wantExact(t)
}

// TestIndexOfBroken: what a collection has left of an index that nobody was
// told of is not taken for whole when another index names it.
func TestIndexOfBroken(t *testing.T) {
	w := newWorld()
	a := registrytest.PushImage(t, w.r, repo, "a", nil)
	inner := pushIndex(t, w.r, repo, []ocispec.Descriptor{a})
	if err := w.m.Delete(t.Context(), store.BlobLinkKey(repo, digest.FromString("a"))); err != nil {
		t.Fatal(err)
	}
	_, err := tryManifest(w.r, repo, ocispec.MediaTypeImageIndex, mustJSON(indexOf([]ocispec.Descriptor{inner})), []string{"outer"})
	if !errors.Is(err, registry.CodeManifestBlobUnknown) {
		t.Errorf("got %v", err)
	}
}
