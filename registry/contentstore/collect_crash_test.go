package contentstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/registrytest"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// actor marks the contexts of one side, so that a hook knows whose step it is.
type actor struct{}

func acting(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, actor{}, name)
}

func isWrite(op string) bool {
	return op == "put" || op == "delete" || op == "swap" || op == "unset"
}

// scene is a store with something tagged, and something else that has been
// condemned and is due.
func scene(t *testing.T) (w *world, due ocispec.Descriptor) {
	w = newWorld()
	tagged := registrytest.PushImage(t, w.r, repo, "tagged", []string{"latest"})
	registrytest.PushImage(t, w.r, repo, "sig", nil, withSubject(tagged))
	due = registrytest.PushImage(t, w.r, repo, "due", nil)
	registrytest.PushImage(t, w.r, repo, "sig of due", []string{cosignTag(due.Digest, ".sig")}, withSubject(due))
	registrytest.PushImage(t, w.r, other, "due", nil)
	w.pass(25 * time.Hour)
	w.collect(t, true)
	registrytest.PushImage(t, w.r, repo, "young", nil)
	w.pass(25 * time.Hour)
	return w, due
}

// TestCollectKilled kills a collector before each of its writes; then somebody
// needs what it was about to delete, and another collector comes (FAULTS 38).
func TestCollectKilled(t *testing.T) {
	for _, pushed := range []bool{false, true} {
		for n := int64(0); ; n++ {
			w, due := scene(t)
			var left atomic.Int64
			left.Store(n)
			w.m.setHook(func(ctx context.Context, op, _ string) error {
				if ctx.Value(actor{}) == "dead" && (left.Load() < 0 || isWrite(op) && left.Add(-1) < 0) {
					return errDead
				}
				return nil
			})
			_, err := w.replica().Collect(acting(t.Context(), "dead"), w.options(true))
			if err != nil && !errors.Is(err, errDead) {
				t.Fatal(err)
			}
			w.r.SetTerm(2 * time.Millisecond) // others need not wait long
			if pushed {
				if _, err := retried(func() (ocispec.Descriptor, error) { return tryImage(w.r, repo, "due", []string{"again"}) }); err != nil {
					t.Fatalf("after %d writes: %v", n, err)
				}
			}
			w.reachable(t)
			w.r.SetTerm(longTerm)
			if err != nil {
				w.r.SetTerm(20 * time.Millisecond)
			}
			retriedCollect(t, w)
			w.r.SetTerm(longTerm)
			if _, _, err := w.r.Manifest(t.Context(), repo, due.Digest); !pushed && err == nil {
				t.Error("the next collection leaves what was due")
			}
			w.settle(t)
			w.wantExact(t)
			if t.Failed() {
				t.Fatalf("after %d writes", n)
			}
			if err == nil {
				if n < 20 {
					t.Errorf("only %d writes in a collection", n)
				}
				break
			}
		}
	}
}

// retried does what clients do that are told to.
func retried(push func() (ocispec.Descriptor, error)) (ocispec.Descriptor, error) {
	for n := 0; ; n++ {
		desc, err := push()
		if !mayRetry(err) || n == 20 {
			return desc, err
		}
	}
}

func mayRetry(err error) bool {
	return errors.Is(err, registry.CodeTooManyRequests) || errors.Is(err, registry.CodeManifestBlobUnknown) || errors.Is(err, registry.CodeUploadUnknown)
}

func retriedCollect(t *testing.T, w *world) {
	t.Helper()
	for n := 0; ; n++ {
		_, err := w.r.Collect(t.Context(), w.options(true))
		if err == nil {
			return
		}
		if n == 20 {
			t.Fatal(err)
		}
	}
}

// TestCollectZombie pauses a collector before each of its writes, or steps, until another
// has taken over, has deleted, and the same content was pushed again: the first
// one deletes nothing then.
func TestCollectZombie(t *testing.T) {
	term := 20 * time.Millisecond
	for n := int64(1); ; n++ {
		w, _ := scene(t)
		var steps atomic.Int64
		paused, wake := make(chan struct{}), make(chan struct{})
		var once sync.Once
		w.m.setHook(func(ctx context.Context, op, _ string) error {
			if ctx.Value(actor{}) != "zombie" {
				return nil
			}
			if zombieSteps || isWrite(op) {
				steps.Add(1)
			}
			if steps.Load() >= n {
				once.Do(func() { close(paused) })
				<-wake // a process that does not run looks at no deadline
			}
			return nil
		})
		zombie := w.replica()
		zombie.SetTerm(term)
		done := make(chan error, 1)
		go func() {
			_, err := zombie.Collect(acting(context.Background(), "zombie"), w.options(true))
			done <- err
		}()
		select {
		case <-paused:
		case err := <-done:
			if err != nil && term < 10*time.Second { // too slow for such a term
				term *= 2
				n--
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if n < 20 {
				t.Errorf("only %d steps in a collection", n)
			}
			return
		}
		w.r.SetTerm(2 * term)
		retriedCollect(t, w)
		w.pass(25 * time.Hour)
		retriedCollect(t, w)
		if _, err := retried(func() (ocispec.Descriptor, error) { return tryImage(w.r, repo, "due", []string{"again"}) }); err != nil {
			t.Fatalf("paused at step %d: %v", n, err)
		}
		close(wake)
		<-done // whatever it thinks of it
		w.reachable(t)
		retriedCollect(t, w) // perhaps after a term
		w.r.SetTerm(longTerm)
		w.settle(t)
		w.wantExact(t)
		if t.Failed() {
			t.Fatalf("paused at step %d", n)
		}
	}
}

// pushKind is a way to come to need what is due.
type pushKind struct {
	name string
	root string // the tag that it sets, or "root", or "none"
	push func(ctx context.Context, w *world, r registry.Registry) error
}

var pushKinds = []pushKind{
	{"blob", "none", func(ctx context.Context, w *world, r registry.Registry) error {
		if err := r.PushBlob(ctx, repo, blobDesc("", "due"), strings.NewReader("due")); err != nil {
			return err
		}
		return stored(w, store.BlobLinkKey(repo, digest.FromString("due")), store.BlobKey(digest.FromString("due")))
	}},
	{"image", "mine", func(_ context.Context, _ *world, r registry.Registry) error {
		_, err := tryImage(r, repo, "due", []string{"mine"})
		return err
	}},
	{"version", version, func(_ context.Context, w *world, r registry.Registry) error {
		desc, err := tryImage(r, repo, "due", []string{version}, withParent(digest.FromString("base")))
		if err != nil {
			return err
		}
		return stored(w, store.DescendantKey(digest.FromString("base"), repo, desc.Digest))
	}},
	{"index", "mine", func(_ context.Context, _ *world, r registry.Registry) error {
		a, err := tryImage(r, repo, "due", nil)
		if err != nil {
			return err
		}
		b, err := tryImage(r, repo, "sig of due", nil)
		if err != nil {
			return err
		}
		a.MediaType, b.MediaType = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageManifest
		_, err = tryManifest(r, repo, ocispec.MediaTypeImageIndex, mustJSON(indexOf([]ocispec.Descriptor{a, b})), []string{"mine"})
		return err
	}},
	{"mount", "mine", func(ctx context.Context, _ *world, r registry.Registry) error {
		if _, err := r.MountBlob(ctx, other, repo, digest.FromString("due")); err != nil && !errors.Is(err, registry.CodeBlobUnknown) {
			return err
		}
		_, err := tryImage(r, repo, "due", []string{"mine"})
		return err
	}},
	{"chunks", "mine", func(ctx context.Context, _ *world, r registry.Registry) error {
		u, err := r.StartUpload(ctx, repo)
		if err != nil {
			return err
		}
		if err := u.Append(ctx, 0, strings.NewReader("due")); err != nil {
			return err
		}
		if _, err := u.Commit(ctx, digest.FromString("due")); err != nil {
			return err
		}
		_, err = tryImage(r, repo, "due", []string{"mine"})
		return err
	}},
	{"root", "root", func(ctx context.Context, w *world, r registry.Registry) error {
		desc, err := tryImage(r, repo, "due", nil)
		if err != nil {
			return err
		}
		w.keep(repo, desc.Digest)
		if err := w.r.Rescue(ctx, repo, desc.Digest); err != nil {
			w.release(repo, desc.Digest)
			return registry.Errorf(registry.CodeTooManyRequests, "%w", err)
		}
		return nil
	}},
}

// stored tells what is missing of what was just acknowledged, at that moment.
func stored(w *world, keys ...string) error {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	for _, key := range keys {
		if _, ok := w.m.objects[key]; !ok {
			return fmt.Errorf("acknowledged, but %s is not there", key)
		}
	}
	return nil
}

// TestCollectInterleaved runs collections before two of the steps of a push,
// each a grace after the one before, so that they condemn before the one and
// delete before the other, or do all before one: nothing acknowledged is lost,
// whatever the two steps are (FAULTS 40).
func TestCollectInterleaved(t *testing.T) {
	for _, kind := range pushKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			for first := 1; ; first += interleaveStride {
				for second := first; ; second += interleaveStride {
					w, _ := scene(t)
					if first%4 == 0 { // what is pushed was never here
						w.settle(t)
					}
					steps, ran := crossed(t, w, kind, first, second)
					if t.Failed() {
						t.Fatalf("%d and %d of %d steps", first, second, steps)
					}
					if !ran {
						if second == first {
							return
						}
						break
					}
				}
			}
		})
	}
}

// crossed pushes with collections before two of its steps. It tells how many
// steps there were, and whether the second collection ran.
func crossed(t *testing.T, w *world, kind pushKind, first, second int) (steps int, ran bool) {
	collector := w.replica()
	collect := func(times int) {
		for range times {
			w.pass(25 * time.Hour)
			if _, err := collector.Collect(acting(t.Context(), "collector"), w.options(true)); err != nil {
				t.Errorf("collect: %v", err)
			}
		}
	}
	times := [][2]int{{1, 1}, {2, 0}, {1, 2}}[(first+second)%3]
	var mu sync.Mutex // a push takes several steps at once
	w.m.setHook(func(ctx context.Context, _, _ string) error {
		if ctx.Value(actor{}) == "collector" {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		steps++
		if steps == first {
			collect(times[0])
		}
		if steps == second {
			collect(times[1])
			ran = true
		}
		return nil
	})
	err := kind.push(t.Context(), w, w.r)
	w.m.setHook(nil)
	if err != nil && !mayRetry(err) {
		t.Errorf("push: %v", err)
	}
	if err == nil {
		wantPushed(t, w, kind)
	} else if err := retriedPush(t, w, kind); err != nil {
		t.Errorf("push again: %v", err)
	}
	return steps, checkedAfter(t, w, ran)
}

// wantPushed looks for what was acknowledged.
func wantPushed(t *testing.T, w *world, kind pushKind) {
	t.Helper()
	w.reachable(t)
	switch kind.root {
	case "none":
	case "root":
		if len(w.rootsNow()) == 0 {
			t.Error("acknowledged, but there is no root")
		}
	default:
		if _, err := w.r.Tag(t.Context(), repo, kind.root); err != nil {
			t.Errorf("acknowledged, but %v", err)
		}
	}
}

func retriedPush(t *testing.T, w *world, kind pushKind) error {
	_, err := retried(func() (ocispec.Descriptor, error) {
		return ocispec.Descriptor{}, kind.push(t.Context(), w, w.r)
	})
	return err
}

func checkedAfter(t *testing.T, w *world, ran bool) bool {
	w.settle(t)
	w.wantExact(t)
	return ran
}

// TestCollectPushedInto starts a push before each step of a collection, which
// goes on meanwhile.
func TestCollectPushedInto(t *testing.T) {
	for _, kind := range pushKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			for n := int64(1); ; n += intoStride {
				w, _ := scene(t)
				var steps atomic.Int64
				pushed := make(chan error, 1)
				w.m.setHook(func(ctx context.Context, _, _ string) error {
					if ctx.Value(actor{}) == "collector" && steps.Add(1) == n {
						go func() { pushed <- retriedPush(t, w, kind) }()
						select {
						case err := <-pushed:
							pushed <- err
						case <-time.After(time.Millisecond):
						}
					}
					return nil
				})
				if _, err := w.replica().Collect(acting(t.Context(), "collector"), w.options(true)); err != nil {
					t.Fatalf("step %d: %v", n, err)
				}
				if steps.Load() < n {
					return
				}
				if err := <-pushed; err != nil {
					t.Fatalf("step %d: %v", n, err)
				}
				wantPushed(t, w, kind)
				checkedAfter(t, w, true)
				if t.Failed() {
					t.Fatalf("step %d", n)
				}
			}
		})
	}
}

// TestCollectBeforeTag: all that is deleted goes between the last look at a
// push's content and its tag, which the push sees to.
func TestCollectBeforeTag(t *testing.T) {
	for _, kind := range pushKinds {
		if kind.root == "root" || kind.root == "none" {
			continue
		}
		t.Run(kind.name, func(t *testing.T) {
			w, _ := scene(t)
			w.m.once("swap", store.TagPointer(repo, kind.root), func() {
				for range 2 {
					w.pass(25 * time.Hour)
					w.collect(t, true)
				}
			})
			err := kind.push(t.Context(), w, w.r)
			switch {
			case err == nil:
				wantPushed(t, w, kind)
			case !mayRetry(err):
				t.Fatal(err)
			}
			if err := retriedPush(t, w, kind); err != nil {
				t.Fatal(err)
			}
			w.reachable(t)
			checkedAfter(t, w, true)
		})
	}
}

// TestCollectKeepsSignaturesOfRescued: a manifest is tagged again when its
// signature is about to be deleted, though nobody rescues that.
func TestCollectKeepsSignaturesOfRescued(t *testing.T) {
	w := newWorld()
	a := registrytest.PushImage(t, w.r, repo, "a", nil)
	sig := registrytest.PushImage(t, w.r, repo, "sig", nil, withSubject(a))
	w.pass(25 * time.Hour)
	w.collect(t, true)
	w.pass(25 * time.Hour)
	var once sync.Once
	w.m.setHook(func(ctx context.Context, op, key string) error {
		if ctx.Value(actor{}) == "collector" && op == "swap" && strings.HasPrefix(key, "gc/sha256") {
			once.Do(func() { registrytest.PushImage(t, w.r, repo, "a", []string{"again"}) })
		}
		return nil
	})
	if _, err := w.r.Collect(acting(t.Context(), "collector"), w.options(true)); err != nil {
		t.Fatal(err)
	}
	w.m.setHook(nil)
	if _, _, err := w.r.Manifest(t.Context(), repo, sig.Digest); err != nil {
		t.Error(err)
	}
	w.settle(t)
	w.wantExact(t)
}

// once does something before the first step of that kind.
func (m *memory) once(op, key string, f func()) {
	done := false // before f, which takes such steps as well
	var mu sync.Mutex
	m.setHook(func(_ context.Context, o, k string) error {
		mu.Lock()
		first := o == op && k == key && !done
		done = done || first
		mu.Unlock()
		if first {
			f()
		}
		return nil
	})
}
