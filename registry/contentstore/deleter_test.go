package contentstore_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/registrytest"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestDeleteBlobOfEvidence: what signatures of versions and the ledger's
// records consist of cannot be deleted blob by blob (FAULTS 7).
func TestDeleteBlobOfEvidence(t *testing.T) {
	w := newWorld()
	baked := registrytest.PushImage(t, w.r, repo, "baked", []string{version})
	sig := registrytest.PushImage(t, w.r, repo, "sig", nil, withSubject(baked))
	registrytest.PushImage(t, w.r, repo, "sig of sig", nil, withSubject(sig))
	registrytest.PushImage(t, w.r, repo, "cosign", []string{cosignTag(baked.Digest, ".sig")})
	plain := registrytest.PushImage(t, w.r, repo, "plain", []string{"latest"})
	registrytest.PushImage(t, w.r, repo, "record", nil, withSubject(plain), func(m *ocispec.Manifest) {
		m.ArtifactType = "application/vnd.kiln.promotion.v1+json"
	})
	registrytest.PushImage(t, w.r, repo, "sig of plain", nil, withSubject(plain))
	const removed = "0.9-20260101T000000Z-00000000000b"
	registrytest.PushImage(t, w.r, repo, "removed", []string{removed})
	if err := w.r.DeleteTag(t.Context(), repo, removed); err != nil {
		t.Fatal(err)
	}
	for content, code := range map[string]registry.Code{
		"baked": registry.CodeDenied, "sig": registry.CodeDenied, "sig of sig": registry.CodeDenied,
		"cosign": registry.CodeDenied, "record": registry.CodeDenied, "removed": registry.CodeDenied, "plain": "", "sig of plain": "",
	} {
		d := digest.FromString(content)
		if err := w.r.DeleteBlob(t.Context(), repo, d); registry.ErrorCode(err) != code {
			t.Errorf("%s: got %v, want code %q", content, err, code)
		}
		if _, err := w.r.StatBlob(t.Context(), repo, d); (err == nil) != (code != "") {
			t.Errorf("%s: afterwards %v", content, err)
		}
	}
}

// listed is a signature of something tagged, whose bytes another image keeps.
func listed(t *testing.T, w *world) (subject, sig ocispec.Descriptor) {
	subject = registrytest.PushImage(t, w.r, repo, "tagged", []string{"latest"})
	sig = registrytest.PushImage(t, w.r, repo, "tagged", nil, withSubject(subject))
	registrytest.PushImage(t, w.r, other, "tagged", []string{"kept"}, withSubject(subject))
	return subject, sig
}

// pushSig pushes the signature of listed again.
func pushSig(ctx context.Context, w *world, subject ocispec.Descriptor) error {
	_, content, err := w.r.Manifest(ctx, other, w.sigOf(subject))
	if err == nil {
		_, err = w.replica().PushManifest(ctx, repo, registry.Manifest{MediaType: ocispec.MediaTypeImageManifest, Content: content})
	}
	return err
}

func (w *world) sigOf(subject ocispec.Descriptor) digest.Digest {
	desc, _ := w.r.Tag(context.Background(), other, "kept")
	return desc.Digest
}

func wantListed(t *testing.T, r registry.Registry, subject, sig ocispec.Descriptor) {
	t.Helper()
	var got []digest.Digest
	for desc, err := range r.Referrers(t.Context(), repo, subject.Digest, "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, desc.Digest)
	}
	if !slices.Equal(got, []digest.Digest{sig.Digest}) {
		t.Errorf("an acknowledged signature is not listed: %v", got)
	}
}

// TestCollectEntryOfPush: a collection that takes an entry which a deletion
// left behind does not take it from a push that found it there (FAULTS 40).
func TestCollectEntryOfPush(t *testing.T) {
	w := newWorld()
	subject, sig := listed(t, w)
	if err := w.m.Delete(t.Context(), store.ManifestLinkKey(repo, sig.Digest)); err != nil { // and then it was killed
		t.Fatal(err)
	}
	w.pass(25 * time.Hour)
	w.collect(t, true)
	w.pass(25 * time.Hour)
	entry := store.ReferrersPrefix(repo, subject.Digest) + string(sig.Digest)
	waits, pushed := make(chan struct{}), make(chan error, 1)
	var begin, waiting sync.Once
	w.m.setHook(func(ctx context.Context, op, key string) error {
		switch {
		case ctx.Value(actor{}) == "collector" && op == "delete" && key == entry:
			begin.Do(func() {
				go func() { pushed <- pushSig(acting(context.Background(), "writer"), w, subject) }()
				<-waits
			})
		case ctx.Value(actor{}) == "writer" && key == store.GCPrefix+"collector":
			waiting.Do(func() { close(waits) })
		}
		return nil
	})
	if _, err := w.replica().Collect(acting(t.Context(), "collector"), w.options(true)); err != nil {
		t.Fatal(err)
	}
	if err := <-pushed; err != nil {
		t.Fatal(err)
	}
	wantListed(t, w.r, subject, sig)
}

// TestDeleteEntryOfPush: nor does a deletion that is overtaken by a push.
func TestDeleteEntryOfPush(t *testing.T) {
	w := newWorld()
	subject, sig := listed(t, w)
	entry := store.ReferrersPrefix(repo, subject.Digest) + string(sig.Digest)
	w.m.setHook(func(ctx context.Context, op, key string) error {
		if ctx.Value(actor{}) == "deleter" && op == "delete" && key == entry {
			return pushSig(acting(context.Background(), "writer"), w, subject)
		}
		return nil
	})
	if err := w.replica().DeleteManifest(acting(t.Context(), "deleter"), repo, sig.Digest); err != nil {
		t.Fatal(err)
	}
	wantListed(t, w.r, subject, sig)
}

// TestDeleteIntoVersion: what a deletion takes out of an index while that
// becomes a version comes back, or the push is not acknowledged (FAULTS 7).
func TestDeleteIntoVersion(t *testing.T) {
	for name, remove := range map[string]func(ctx context.Context, r registry.Deleter, child digest.Digest) error{
		"manifest": func(ctx context.Context, r registry.Deleter, child digest.Digest) error {
			return r.DeleteManifest(ctx, repo, child)
		},
		"blob": func(ctx context.Context, r registry.Deleter, _ digest.Digest) error {
			return r.DeleteBlob(ctx, repo, digest.FromString("child"))
		},
	} {
		w := newWorld()
		child := registrytest.PushImage(t, w.r, repo, "child", nil)
		child.MediaType = ocispec.MediaTypeImageManifest
		var once sync.Once
		w.m.setHook(func(_ context.Context, op, key string) (err error) {
			if op == "swap" && key == store.TagPointer(repo, version) {
				once.Do(func() { err = remove(context.Background(), w.replica(), child.Digest) })
			}
			return err
		})
		pushIndex(t, w.r, repo, []ocispec.Descriptor{child}, version)
		w.reachable(t)
		if t.Failed() {
			t.Fatalf("%s deleted", name)
		}
	}
}

// lateDeletes is a store like a bucket: a deletion whose caller has gone away
// is carried out all the same, later.
type lateDeletes struct {
	store.Store
	began chan struct{} // closed when the first has begun
	carry chan struct{} // closed when they are carried out
	once  sync.Once
	group sync.WaitGroup
}

func (s *lateDeletes) Delete(ctx context.Context, key string) error {
	s.once.Do(func() { close(s.began) })
	done := make(chan error, 1)
	s.group.Go(func() {
		<-s.carry
		done <- s.Store.Delete(context.WithoutCancel(ctx), key)
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestCollectCancelled: a collector that is told to stop does not leave its
// office while deletions are under way: a push that takes it for gone would
// be acknowledged, and then lose what it needs (FAULTS 40, 42).
func TestCollectCancelled(t *testing.T) {
	w := newWorld()
	if _, err := tryImage(w.r, repo, "due", nil); err != nil {
		t.Fatal(err)
	}
	w.pass(25 * time.Hour)
	w.collect(t, true)
	w.pass(25 * time.Hour)
	late := &lateDeletes{Store: w.store, began: make(chan struct{}), carry: make(chan struct{})}
	collector := contentstore.New(late, w.pointers, contentstore.Options{Now: w.now})
	collector.SetTerm(longTerm)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() {
		_, err := collector.Collect(ctx, w.options(true))
		over <- err
	}()
	<-late.began
	cancel()
	pushed := make(chan error, 1)
	go func() {
		_, err := retried(func() (ocispec.Descriptor, error) { return tryImage(w.r, repo, "due", []string{"latest"}) })
		pushed <- err
	}()
	select {
	case err := <-pushed: // too early
		pushed <- err
	case <-time.After(100 * time.Millisecond):
	}
	close(late.carry)
	if err := <-over; !errors.Is(err, context.Canceled) {
		t.Errorf("collector: %v", err)
	}
	late.group.Wait()
	if err := <-pushed; err != nil {
		t.Fatal(err)
	}
	if _, err := w.r.Tag(t.Context(), repo, "latest"); err != nil {
		t.Errorf("an acknowledged push is lost: %v", err)
	}
	w.reachable(t)
}

// TestCollectDoubt: where a deletion failed, and may be carried out yet, the
// office stays taken for a term (FAULTS 42).
func TestCollectDoubt(t *testing.T) {
	for _, failed := range []error{nil, errors.New("the answer was lost")} {
		w := newWorld()
		registrytest.PushImage(t, w.r, repo, "due", nil)
		w.pass(25 * time.Hour)
		w.collect(t, true)
		w.pass(25 * time.Hour)
		w.m.setHook(func(_ context.Context, op, key string) error {
			if op == "delete" {
				return failed
			}
			return nil
		})
		if _, err := w.r.Collect(t.Context(), w.options(true)); !errors.Is(err, failed) {
			t.Fatal(err)
		}
		_, err := w.pointers.Load(t.Context(), store.GCPrefix+"collector")
		if taken := err == nil; taken != (failed != nil) {
			t.Errorf("after %v: taken is %v (%v)", failed, taken, err)
		}
	}
}
