package contentstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestCollectRace lets writers and collectors loose on one store, in memory
// and in a folder, while the clock leaps by hours: what was acknowledged is
// whole at every moment, and in the end nothing else is left (FAULTS 40).
func TestCollectRace(t *testing.T) {
	t.Run("memory", func(t *testing.T) { raceFor(t, newWorld(), soakTime(800*time.Millisecond)) })
	t.Run("folder", func(t *testing.T) { raceFor(t, folderWorld(t), soakTime(1200*time.Millisecond)) })
}

// contents are few, so that writers meet at the same digests.
var contents = []string{"a", "b", "c", "d"}

// racer is one writer. Its tags are its own; the content is everybody's.
type racer struct {
	t     *testing.T
	w     *world
	r     *contentstore.Registry
	rand  *rand.Rand
	id    int
	tags  map[string]ocispec.Descriptor // acknowledged, by image:tag
	done  int
	again *atomic.Int64
}

func raceFor(t *testing.T, w *world, d time.Duration) {
	begun := time.Now()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	if w.m != nil {
		w.m.setHook(func(context.Context, string, string) error {
			if rand.IntN(50) == 0 {
				time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
			}
			return nil
		})
	}
	var writers, collectors sync.WaitGroup
	var again, runs, removed atomic.Int64
	racers := make([]*racer, 6)
	for i := range racers {
		racers[i] = &racer{
			t: t, w: w, r: w.replica(), rand: rand.New(rand.NewPCG(seed, uint64(i))), id: i,
			tags: map[string]ocispec.Descriptor{}, again: &again,
		}
		writers.Go(func() {
			racers[i].run(func() bool { return time.Since(begun) < d || removed.Load() == 0 && time.Since(begun) < time.Minute })
		})
	}
	stop := make(chan struct{})
	for i := range 2 {
		collectors.Go(func() { collectUntil(t, w, stop, rand.New(rand.NewPCG(seed, uint64(100+i))), &runs, &removed) })
	}
	writers.Wait()
	close(stop)
	collectors.Wait()
	done := 0
	for _, r := range racers {
		done += r.done
		r.check()
	}
	t.Logf("%d steps, %d told to try again, %d collections, %d objects removed", done, again.Load(), runs.Load(), removed.Load())
	if removed.Load() == 0 || done == 0 {
		t.Error("nothing was raced")
	}
	if w.m != nil {
		w.m.setHook(nil)
	}
	w.settle(t)
	w.wantExact(t)
	for _, r := range racers {
		r.check()
	}
}

func collectUntil(t *testing.T, w *world, stop chan struct{}, r *rand.Rand, runs, removed *atomic.Int64) {
	replica := w.replica()
	for {
		select {
		case <-stop:
			return
		default:
		}
		w.pass(time.Duration(r.IntN(30)) * time.Hour)
		c, err := replica.Collect(context.Background(), w.options(true))
		switch {
		case errors.Is(err, contentstore.ErrCollecting):
			time.Sleep(time.Millisecond)
		case errors.Is(err, contentstore.ErrIncomplete) && w.m == nil: // what was just made looks old to this clock
		case err != nil:
			t.Errorf("collect: %v", err)
		default:
			runs.Add(1)
			removed.Add(int64(len(c.Removed)))
		}
	}
}

func (r *racer) run(more func() bool) {
	steps := []func() error{r.image, r.image, r.index, r.mount, r.version, r.signature, r.lease, r.untag, r.delete, r.chunks}
	for more() && !r.t.Failed() {
		if err := steps[r.rand.IntN(len(steps))](); mayRetry(err) {
			r.again.Add(1)
		} else if err != nil {
			r.t.Errorf("writer %d: %v", r.id, err)
		}
		r.done++
		r.check()
	}
	for at := range r.tags { // half of what is left is for the end
		if r.rand.IntN(2) == 0 {
			r.drop(at)
		}
	}
}

// check looks at all that was acknowledged to this writer.
func (r *racer) check() {
	for at, want := range r.tags {
		image, tag, _ := strings.Cut(at, ":")
		desc, err := r.r.Tag(context.Background(), image, tag)
		if err != nil || desc.Digest != want.Digest {
			r.t.Errorf("%s is %s, %v; want %s", at, desc.Digest, err, want.Digest)
			continue
		}
		o := &oracle{t: r.t, w: r.w, all: nil, keys: map[string]bool{}, seen: map[root]bool{}, stat: true}
		o.manifest(image, want.Digest)
	}
}

func (r *racer) pick() (image, content string) {
	return bothImages[r.rand.IntN(2)], contents[r.rand.IntN(len(contents))]
}

func (r *racer) tag() string { return fmt.Sprintf("w%d-%d", r.id, r.rand.IntN(3)) }

// tagged takes note of a push to a tag. Of one that was refused nothing is
// known: its tag may have moved, so it is removed.
func (r *racer) tagged(image, tag string, desc ocispec.Descriptor, err error) error {
	delete(r.tags, image+":"+tag)
	if err != nil {
		if err := r.r.DeleteTag(context.Background(), image, tag); err != nil && !errors.Is(err, registry.CodeManifestUnknown) {
			return err
		}
		return err
	}
	r.tags[image+":"+tag] = desc
	return nil
}

func (r *racer) image() error {
	image, content := r.pick()
	tag := r.tag()
	desc, err := tryImage(r.r, image, content, []string{tag})
	return r.tagged(image, tag, desc, err)
}

func (r *racer) version() error {
	image, content := r.pick()
	tag := fmt.Sprintf("%d.%d-20260102T000000Z-00000000000b", r.id, r.done)
	base := blobDesc("", contents[r.rand.IntN(len(contents))])
	desc, err := tryImage(r.r, image, content, []string{tag}, withParent(base.Digest))
	return r.tagged(image, tag, desc, err)
}

func (r *racer) index() error {
	image, content := r.pick()
	_, second := r.pick()
	a, err := tryImage(r.r, image, content, nil)
	if err != nil {
		return err
	}
	b, err := tryImage(r.r, image, second, nil)
	if err != nil {
		return err
	}
	inner, err := tryManifest(r.r, image, ocispec.MediaTypeImageIndex, mustJSON(indexOf([]ocispec.Descriptor{a})), nil)
	if err != nil {
		return err
	}
	tag := r.tag()
	desc, err := tryManifest(r.r, image, ocispec.MediaTypeImageIndex, mustJSON(indexOf([]ocispec.Descriptor{inner, b})), []string{tag})
	return r.tagged(image, tag, desc, err)
}

// mount links a blob that another image has, and pushes only the rest.
func (r *racer) mount() error {
	from, content := r.pick()
	image := bothImages[r.rand.IntN(2)]
	if _, err := r.r.MountBlob(context.Background(), from, image, digest.FromString(content)); err != nil {
		if errors.Is(err, registry.CodeBlobUnknown) {
			return nil
		}
		return err
	}
	if err := r.r.PushBlob(context.Background(), image, blobDesc("", "{}"), strings.NewReader("{}")); err != nil {
		return err
	}
	tag := r.tag()
	desc, err := tryManifest(r.r, image, ocispec.MediaTypeImageManifest, imageJSON(content), []string{tag})
	return r.tagged(image, tag, desc, err)
}

// signature pushes a referrer of what this writer has tagged.
func (r *racer) signature() error {
	for at, desc := range r.tags {
		image, _, _ := strings.Cut(at, ":")
		desc.MediaType = ocispec.MediaTypeImageManifest
		_, err := tryImage(r.r, image, contents[r.rand.IntN(len(contents))], nil, withSubject(desc))
		return err
	}
	return nil
}

// lease keeps a manifest for a moment without a tag.
func (r *racer) lease() error {
	image, content := r.pick()
	desc, err := tryImage(r.r, image, content, nil, func(m *ocispec.Manifest) {
		m.Annotations = map[string]string{"leased by": fmt.Sprint(r.id)}
	})
	if err != nil {
		return err
	}
	r.w.keep(image, desc.Digest)
	defer r.w.release(image, desc.Digest)
	if err := r.r.Rescue(context.Background(), image, desc.Digest); err != nil {
		if errors.Is(err, registry.CodeManifestUnknown) {
			return registry.Errorf(registry.CodeTooManyRequests, "%w", err)
		}
		return err
	}
	for range r.rand.IntN(4) {
		time.Sleep(time.Millisecond)
		o := &oracle{t: r.t, w: r.w, keys: map[string]bool{}, seen: map[root]bool{}, stat: true}
		o.manifest(image, desc.Digest)
	}
	return nil
}

func (r *racer) untag() error {
	for at := range r.tags {
		return r.drop(at)
	}
	return nil
}

func (r *racer) drop(at string) error {
	image, tag, _ := strings.Cut(at, ":")
	delete(r.tags, at)
	return r.r.DeleteTag(context.Background(), image, tag)
}

// delete deletes by digest what nobody else has, though others have its blobs.
func (r *racer) delete() error {
	image, content := r.pick()
	desc, err := tryImage(r.r, image, content, []string{fmt.Sprintf("own-%d", r.id)}, func(m *ocispec.Manifest) {
		m.Annotations = map[string]string{"of": fmt.Sprint(r.id)}
	})
	if err != nil {
		return err
	}
	return r.r.DeleteManifest(context.Background(), image, desc.Digest)
}

func (r *racer) chunks() error {
	ctx := context.Background()
	image, content := r.pick()
	content += " in chunks"
	u, err := r.r.StartUpload(ctx, image)
	if err != nil {
		return err
	}
	for _, part := range []string{content[:4], content[4:]} {
		if err := u.Append(ctx, u.Size(), strings.NewReader(part)); err != nil {
			return err
		}
	}
	if _, err := u.Commit(ctx, digest.FromString(content)); err != nil {
		return err
	}
	if err := r.r.PushBlob(ctx, image, blobDesc("", "{}"), strings.NewReader("{}")); err != nil {
		return err
	}
	tag := r.tag()
	desc, err := tryManifest(r.r, image, ocispec.MediaTypeImageManifest, imageJSON(content), []string{tag})
	return r.tagged(image, tag, desc, err)
}

// TestCollectClocks lets two replicas collect whose clocks are half a day
// apart, and leap forwards and back: what is reachable stays, and when the
// clocks are right again everything else goes (FAULTS 43).
func TestCollectClocks(t *testing.T) {
	w := newWorld()
	skewed := func(by time.Duration) *contentstore.Registry {
		return contentstore.New(w.store, w.pointers, contentstore.Options{Now: func() time.Time { return w.now().Add(by) }})
	}
	year := 365 * 24 * time.Hour
	for i, by := range []time.Duration{0, 12 * time.Hour, -12 * time.Hour, year, 0, -year, 40 * 24 * time.Hour, 0} {
		r := skewed(by)
		tag := fmt.Sprint("t", i%3)
		if _, err := tryImage(r, repo, contents[i%len(contents)], []string{tag}); err != nil {
			t.Fatal(err)
		}
		if _, err := tryImage(r, repo, fmt.Sprint("garbage ", i), nil); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			w.pass(7 * time.Hour)
			if _, err := r.Collect(t.Context(), w.options(true)); err != nil {
				t.Fatal(err)
			}
			w.reachable(t)
		}
	}
	w.settle(t)
	w.wantExact(t)
}
