package contentstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/registrytest"
	"kiln/registry/store"
	"kiln/registry/store/filestore"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// repair scrubs with repairs.
func repair(t *testing.T, r *contentstore.Registry) contentstore.Scrubbed {
	t.Helper()
	out, err := r.Scrub(t.Context(), contentstore.ScrubOptions{Repair: true, Settle: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// wantClean: a scrub finds nothing at all.
func wantClean(t *testing.T, r *contentstore.Registry) {
	t.Helper()
	out, err := r.Scrub(t.Context(), contentstore.ScrubOptions{Settle: time.Nanosecond})
	if err != nil || len(out.Problems) > 0 {
		t.Errorf("scrub finds %v, %v", out.Problems, err)
	}
}

// TestQuarantine: a damaged blob is served no more, its bytes are kept with
// the reason, and the next push heals the store.
func TestQuarantine(t *testing.T) {
	for name, wrap := range map[string]func(store.Store) store.Store{
		"copier": func(s store.Store) store.Store { return s },
		"none":   func(s store.Store) store.Store { return struct{ store.Store }{s} },
	} {
		t.Run(name, func(t *testing.T) {
			files := openStore(t)
			r := contentstore.New(wrap(files), files.Pointers(), contentstore.Options{})
			image := registrytest.PushImage(t, r, repo, "layer", []string{version})
			layer := digest.FromString("layer")
			damage(t, files, layer)
			damage(t, files, image.Digest)
			out := repair(t, r)
			if !out.Broken() {
				t.Errorf("a version without its bytes is not broken: %v", out.Problems)
			}
			if _, err := r.StatBlob(t.Context(), repo, layer); !errors.Is(err, registry.CodeBlobUnknown) {
				t.Errorf("stat of the damaged blob: %v", err)
			}
			if _, _, err := r.Manifest(t.Context(), repo, image.Digest); err == nil {
				t.Error("the damaged manifest is served")
			}
			wantQuarantined(t, files, layer, image.Digest)
			registrytest.PushImage(t, r, repo, "layer", []string{version})
			wantClean(t, r)
			repair(t, r)
			wantQuarantined(t, files, layer, image.Digest)
		})
	}
}

func wantQuarantined(t *testing.T, s *filestore.Store, want ...digest.Digest) {
	t.Helper()
	found := map[string]int{}
	for info, err := range s.List(t.Context(), store.QuarantinePrefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		found[strings.Split(info.Key, "/")[1]]++
		if strings.HasSuffix(info.Key, "/reason.json") && !strings.Contains(object(t, s, info.Key), "content has digest") {
			t.Errorf("reason: %s", object(t, s, info.Key))
		}
	}
	for _, d := range want {
		if found[string(d)] != 2 {
			t.Errorf("in quarantine: %v, want bytes and reason of %s", found, d)
		}
	}
}

func object(t *testing.T, s store.Store, key string) string {
	t.Helper()
	rc, err := s.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// everything is all objects of a store but for the quarantine.
func everything(t *testing.T, s store.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for info, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(info.Key, store.QuarantinePrefix) {
			all[info.Key] = object(t, s, info.Key)
		}
	}
	return all
}

// pushAll makes an image with all kinds of links: a version that is an index
// over a manifest, baked on another, with a referrer and a moving tag.
func pushAll(t *testing.T, r registry.Registry) {
	t.Helper()
	child := registrytest.PushImage(t, r, repo, "layer", []string{"latest"})
	index := registrytest.PushJSON(t, r, repo, ocispec.MediaTypeImageIndex, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": []ocispec.Descriptor{child},
		"annotations": map[string]string{ocispec.AnnotationBaseImageDigest: string(digest.FromString("base"))},
	}, version)
	registrytest.PushImage(t, r, repo, "signature", nil, func(m *ocispec.Manifest) { m.Subject = &index })
}

// TestRepair loses and damages every single object that is no blob, one at a
// time: after the repair all is as it was.
func TestRepair(t *testing.T) {
	sample := openStore(t)
	pushAll(t, contentOf(sample))
	for key := range everything(t, sample) {
		if strings.HasPrefix(key, store.BlobsPrefix) {
			continue
		}
		for _, how := range []string{"lost", "damaged"} {
			t.Run(how+" "+key, func(t *testing.T) {
				s := openStore(t)
				r := contentOf(s)
				pushAll(t, r)
				whole := everything(t, s)
				if err := s.Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
				if how == "damaged" {
					if whole[key] == "" || strings.HasPrefix(key, store.DescendsPrefix) {
						return // a link without content; a hint that nobody reads
					}
					if err := s.Put(t.Context(), key, strings.NewReader(`{"digest":`)); err != nil {
						t.Fatal(err)
					}
				}
				wantRepaired(t, r, s, key, whole)
			})
		}
	}
}

func wantRepaired(t *testing.T, r *contentstore.Registry, s *filestore.Store, key string, whole map[string]string) {
	t.Helper()
	// The signature is no version's: a lost link to its layer may have been a
	// deletion. Its manifest's link is known by the entry in the list.
	may := strings.HasPrefix(key, store.BlobLinkKey(repo, "")) && strings.HasSuffix(key, string(digest.FromString("signature")))
	first, err := r.Scrub(t.Context(), contentstore.ScrubOptions{Settle: time.Nanosecond})
	if err != nil || len(first.Problems) == 0 && !may {
		t.Errorf("the scrub finds nothing, %v", err)
	}
	out := repair(t, r)
	if out.Broken() {
		t.Errorf("after the repair: %v", out.Problems)
	}
	now := everything(t, s)
	for k, want := range whole {
		if got, ok := now[k]; (!ok || got != want) && !(may && k == key) {
			t.Errorf("%s is %.60q, was %.60q", k, got, want)
		}
	}
	if len(now) > len(whole) {
		t.Errorf("%d objects, were %d", len(now), len(whole))
	}
	wantClean(t, r)
}

// TestRepairStaysOut: what a deletion took, and what never was a version,
// stays away.
func TestRepairStaysOut(t *testing.T) {
	s := openStore(t)
	r := contentOf(s)
	image := registrytest.PushImage(t, r, repo, "layer", []string{"latest"})
	if err := r.DeleteBlob(t.Context(), repo, digest.FromString("layer")); err != nil {
		t.Fatal(err)
	}
	other := registrytest.PushImage(t, r, "acme/other", "layer", nil)
	if err := r.DeleteManifest(t.Context(), "acme/other", other.Digest); err != nil {
		t.Fatal(err)
	}
	repair(t, r)
	if _, err := r.StatBlob(t.Context(), repo, digest.FromString("layer")); !errors.Is(err, registry.CodeBlobUnknown) {
		t.Errorf("a deleted blob is back: %v", err)
	}
	if _, _, err := r.Manifest(t.Context(), "acme/other", other.Digest); !errors.Is(err, registry.CodeManifestUnknown) {
		t.Errorf("a deleted manifest is back: %v", err)
	}
	if _, _, err := r.Manifest(t.Context(), repo, image.Digest); err != nil {
		t.Error(err)
	}
}

// TestScrubReadOnly: a scrub that may not write reports, and goes on.
func TestScrubReadOnly(t *testing.T) {
	s := openStore(t)
	pushAll(t, contentOf(s))
	key := store.BlobLinkKey(repo, digest.FromString("layer"))
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	r := contentstore.New(readOnlyStore{s}, s.Pointers(), contentstore.Options{})
	out := repair(t, r)
	if len(out.Problems) != 1 || !out.Broken() || !errors.Is(out.Problems[0].Err, store.ErrReadOnly) {
		t.Errorf("found %v", out.Problems)
	}
}

// TestScrubLive: pushes, deletions and uploads at work are no findings, and
// lose nothing by a repair that runs beside them.
func TestScrubLive(t *testing.T) {
	s := openStore(t)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range 3 {
		r := contentOf(s)
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				tag := fmt.Sprintf("%d-20260102T0000%02dZ-%012x", w, i%60, i)
				d := registrytest.PushImage(t, r, repo, fmt.Sprint("layer ", w, i), []string{tag})
				sig := registrytest.PushImage(t, r, repo, fmt.Sprint("signature ", w, i), nil, func(m *ocispec.Manifest) { m.Subject = &d })
				if i%2 == 0 {
					if err := r.DeleteManifest(t.Context(), repo, sig.Digest); err != nil {
						t.Error(err)
					}
					continue
				}
				for range r.Referrers(t.Context(), repo, d.Digest, "") {
					sig.Size = 0
				}
				if sig.Size != 0 {
					t.Error("a referrer is lost")
				}
			}
		})
	}
	for start := time.Now(); time.Since(start) < time.Second; {
		out, err := contentOf(s).Scrub(t.Context(), contentstore.ScrubOptions{Repair: true, Settle: 200 * time.Millisecond})
		if err != nil || len(out.Problems) > 0 {
			t.Errorf("found %v, %v", out.Problems, err)
		}
	}
	stop()
	wg.Wait()
	wantClean(t, contentOf(s))
}

// TestScrubRate: a scrub takes the time that its rate asks for.
func TestScrubRate(t *testing.T) {
	r := contentOf(openStore(t))
	registrytest.PushBlob(t, r, repo, "", strings.Repeat("x", 1<<20))
	start := time.Now()
	out, err := r.Scrub(t.Context(), contentstore.ScrubOptions{Rate: 4 << 20})
	if took := time.Since(start); err != nil || out.Blobs != 1 || out.Bytes != 1<<20 || took < 200*time.Millisecond || took > 5*time.Second {
		t.Errorf("%d blobs, %d bytes in %s, %v", out.Blobs, out.Bytes, took, err)
	}
}
