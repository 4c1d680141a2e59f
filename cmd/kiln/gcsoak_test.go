//go:build full

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/registry"
	"kiln/registry/promotion"
	"kiln/registry/store/s3store/s3test"
)

const (
	gcSoakTime    = 30 * time.Second // of load on each kind of store; KILN_SOAK lengthens it
	gcSoakGrace   = promotion.Duration(time.Second)
	gcSoakWriters = 4
)

// TestGCSoakBucket: three kiln serve on one bucket; pushes, moves of tags,
// promotions, leases, deletions and collections with a grace of a second, all
// at random. What was acknowledged is whole at every moment, and in the end
// nothing else is kept (FAULTS 40).
func TestGCSoakBucket(t *testing.T) {
	s, server := inS3(t)
	proxy := s3test.NewProxy(t, server.URL)
	soakCollections(t, s.world, strings.Replace(s.location, server.URL, proxy.URL, 1), false)
}

// TestGCSoakFolder does so on one folder, and kills replicas, collectors among
// them (FAULTS 38).
func TestGCSoakFolder(t *testing.T) {
	w := newWorld(t)
	w.plain()
	soakCollections(t, w, w.path("store"), true)
}

// gcSoak is a fleet under load.
type gcSoak struct {
	*fleet
	steps, refused, runs, removed, condemned, leases, moves atomic.Int64
}

func soakCollections(t *testing.T, w *world, location string, kill bool) {
	g := &gcSoak{fleet: &fleet{t: t, world: w, location: location, versions: map[string][]digest.Digest{}}}
	g.bake(3)
	g.serve()
	g.start = time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), max(4*gcSoakTime, soak(t)))
	defer cancel()
	go func() { // on a slow machine it takes longer to come to something
		for ctx.Err() == nil && (time.Since(g.start) < max(gcSoakTime, soak(t)) || !g.tests()) {
			time.Sleep(50 * time.Millisecond)
		}
		cancel()
	}()
	var wg sync.WaitGroup
	writers := make([]*gcWriter, gcSoakWriters)
	for i := range writers {
		writers[i] = &gcWriter{g: g, id: i, tags: map[gcTag]digest.Digest{}}
		wg.Go(func() { writers[i].run(ctx) })
	}
	wg.Go(func() { g.promote(ctx) })
	for range 2 {
		wg.Go(func() { g.collect(ctx) })
	}
	if kill {
		for ctx.Err() == nil {
			time.Sleep(4*time.Second + rand.N(4*time.Second))
			m := g.members[rand.IntN(len(g.members))]
			g.down(m)
			g.kills++
			g.up(m)
		}
	}
	wg.Wait()
	t.Logf("%d steps of writers, %d told no, %d leases, %d moves, %d collections: %d condemned, %d removed; %d kills",
		g.steps.Load(), g.refused.Load(), g.leases.Load(), g.moves.Load(), g.runs.Load(), g.condemned.Load(), g.removed.Load(), g.kills)
	if !g.tests() {
		t.Error("the test tests little")
	}
	for _, writer := range writers {
		writer.finish()
	}
	g.settle()
	for _, writer := range writers {
		for at := range writer.tags {
			writer.check(t.Context(), at)
		}
	}
	w.run("doctor", "--scrub", "--store", location)
	wantOnlyReachable(t, location)
}

// tests tells whether enough has happened to test something.
func (g *gcSoak) tests() bool {
	return g.removed.Load() >= 10 && g.leases.Load() > 0 && g.moves.Load() > 0
}

// collect collects through any replica until ctx ends.
func (g *gcSoak) collect(ctx context.Context) {
	for ctx.Err() == nil {
		g.collectOnce(context.WithoutCancel(ctx))
		time.Sleep(rand.N(600 * time.Millisecond))
	}
}

// collectOnce tells how many things went or will.
func (g *gcSoak) collectOnce(ctx context.Context) (promotion.CollectResult, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	l := g.any(ctx)
	if l == nil {
		return promotion.CollectResult{}, ctx.Err()
	}
	done, err := l.api.Collect(ctx, promotion.CollectRequest{Apply: true, Grace: gcSoakGrace})
	if err == nil {
		g.runs.Add(1)
		g.removed.Add(int64(len(done.Removed)))
		g.condemned.Add(int64(len(done.Condemned)))
	}
	return done, err
}

// settle collects until nothing more goes.
func (g *gcSoak) settle() {
	g.t.Helper()
	for until := time.Now().Add(2 * time.Minute); ; {
		time.Sleep(time.Duration(gcSoakGrace) + 200*time.Millisecond)
		done, err := g.collectOnce(g.t.Context())
		if err == nil && len(done.Removed)+len(done.Condemned)+done.Rescued == 0 {
			return
		}
		if time.Now().After(until) {
			g.t.Fatalf("collections do not come to an end: %+v, %v", done, err)
		}
	}
}

// promote moves channels, and takes and drops leases of what was baked.
func (g *gcSoak) promote(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		l := g.any(ctx)
		if l == nil {
			return
		}
		image := []string{"acme/app", "acme/web"}[rand.IntN(2)]
		d := g.versions[image][rand.IntN(len(g.versions[image]))]
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		if _, err := l.api.Promote(call, promotion.PromoteRequest{Image: image, Digest: d, Channel: "dev", Reason: fmt.Sprint(i)}); err == nil {
			g.moves.Add(1)
		} else {
			g.told(err)
		}
		holder := "runs-it"
		if _, err := l.api.Lease(call, promotion.LeaseRequest{Image: image, Digest: d, Holder: holder, Lifetime: promotion.Duration(time.Minute)}); err == nil {
			g.leases.Add(1)
			_, err = l.api.Resolve(call, promotion.ResolveRequest{Image: image, Channel: "dev"})
			g.told(err)
			g.told(l.api.Release(call, promotion.ReleaseRequest{Image: image, Digest: d, Holder: holder}))
		}
		cancel()
	}
}

// told takes note of an answer that is no.
func (g *gcSoak) told(err error) {
	if err != nil {
		g.refused.Add(1)
	}
}

// gcTag is a tag that one writer alone moves.
type gcTag struct{ image, tag string }

// gcWriter pushes few contents again and again, as all its fellows do.
type gcWriter struct {
	g    *gcSoak
	id   int
	n    int
	tags map[gcTag]digest.Digest // acknowledged; "" where it is not known what the tag is
	// lease is one that is not known to be released.
	lease *promotion.ReleaseRequest
}

func (w *gcWriter) run(ctx context.Context) {
	steps := []func(context.Context, registry.Registry) error{w.image, w.image, w.index, w.mount, w.untagged, w.drop, w.remove}
	for ctx.Err() == nil && !w.g.t.Failed() {
		l := w.g.any(ctx)
		if l == nil {
			return
		}
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		if rand.IntN(6) == 0 {
			w.g.told(w.leased(call, l))
		} else {
			w.g.told(steps[rand.IntN(len(steps))](call, l.reg))
		}
		w.g.steps.Add(1)
		for at := range w.tags { // any one
			w.check(call, at)
			break
		}
		cancel()
	}
}

// check pulls what a tag names, trying again where a replica dies.
func (w *gcWriter) check(ctx context.Context, at gcTag) {
	want := w.tags[at]
	if want == "" {
		return
	}
	var err error
	for range 10 {
		l := w.g.any(ctx)
		if l == nil {
			return
		}
		var desc ocispec.Descriptor
		if desc, err = l.reg.Tag(ctx, at.image, at.tag); err == nil && desc.Digest != want {
			w.g.t.Errorf("%v is %s, want %s", at, desc.Digest, want)
			return
		}
		if err == nil {
			err = pullAll(ctx, l.reg, at.image, want)
		}
		if err == nil {
			return
		}
		if code := registry.ErrorCode(err); code != "" && code != registry.CodeTooManyRequests {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.g.t.Errorf("%v was acknowledged as %s: %v", at, want, err)
}

// pullAll pulls a manifest and all that it names.
func pullAll(ctx context.Context, reg registry.Registry, image string, d digest.Digest) error {
	_, content, err := reg.Manifest(ctx, image, d)
	if err != nil {
		return err
	}
	var index ocispec.Index
	if err := json.Unmarshal(content, &index); err != nil {
		return err
	}
	for _, child := range index.Manifests {
		if err := pullAll(ctx, reg, image, child.Digest); err != nil {
			return err
		}
	}
	if len(index.Manifests) > 0 {
		return nil
	}
	return (&pushed{image: image, digest: d}).pull(ctx, reg)
}

func (w *gcWriter) pick() (image string, layer []byte) {
	return fmt.Sprintf("acme/pushed-%d", rand.IntN(2)), bytes.Repeat([]byte{byte('a' + rand.IntN(4))}, 2000)
}

func (w *gcWriter) tag() string { return fmt.Sprintf("w%d-%d", w.id, rand.IntN(3)) }

// push pushes an image; with a note, one that nobody else has.
func (w *gcWriter) push(ctx context.Context, reg registry.Registry, image string, layer []byte, note, tag string, mount string) (ocispec.Descriptor, error) {
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	if note != "" {
		m.Annotations = map[string]string{"note": note}
	}
	var err error
	if m.Config, err = pushBytes(ctx, reg, image, ocispec.MediaTypeImageConfig, []byte(`{"os":"linux","architecture":"amd64"}`)); err != nil {
		return ocispec.Descriptor{}, err
	}
	if mount != "" {
		_, _ = reg.MountBlob(ctx, mount, image, digest.FromBytes(layer)) // else it is pushed
	}
	desc, err := pushBytes(ctx, reg, image, ocispec.MediaTypeImageLayer, layer)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	m.Layers = []ocispec.Descriptor{desc}
	return w.put(ctx, reg, image, m.MediaType, m, tag)
}

// put pushes a manifest. Of one that was not acknowledged it is not known where
// its tag is.
func (w *gcWriter) put(ctx context.Context, reg registry.Registry, image, mediaType string, v any, tag string) (ocispec.Descriptor, error) {
	content, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	in := registry.Manifest{MediaType: mediaType, Content: content}
	if tag != "" {
		in.Tags = []string{tag}
		w.tags[gcTag{image, tag}] = ""
	}
	desc, err := reg.PushManifest(ctx, image, in)
	if err == nil && tag != "" {
		w.tags[gcTag{image, tag}] = desc.Digest
	}
	desc.MediaType = mediaType
	return desc, err
}

func (w *gcWriter) image(ctx context.Context, reg registry.Registry) error {
	image, layer := w.pick()
	_, err := w.push(ctx, reg, image, layer, "", w.tag(), "")
	return err
}

func (w *gcWriter) untagged(ctx context.Context, reg registry.Registry) error {
	image, layer := w.pick()
	_, err := w.push(ctx, reg, image, layer, "", "", "")
	return err
}

func (w *gcWriter) mount(ctx context.Context, reg registry.Registry) error {
	image, layer := w.pick()
	from, _ := w.pick()
	_, err := w.push(ctx, reg, image, layer, "", w.tag(), from)
	return err
}

func (w *gcWriter) index(ctx context.Context, reg registry.Registry) error {
	image, layer := w.pick()
	_, second := w.pick()
	var index ocispec.Index
	index.SchemaVersion, index.MediaType = 2, ocispec.MediaTypeImageIndex
	for _, l := range [][]byte{layer, second} {
		desc, err := w.push(ctx, reg, image, l, "", "", "")
		if err != nil {
			return err
		}
		index.Manifests = append(index.Manifests, desc)
	}
	_, err := w.put(ctx, reg, image, index.MediaType, index, w.tag())
	return err
}

// drop deletes one of the tags.
func (w *gcWriter) drop(ctx context.Context, reg registry.Registry) error {
	for at := range w.tags {
		return w.untag(ctx, reg, at)
	}
	return nil
}

func (w *gcWriter) untag(ctx context.Context, reg registry.Registry, at gcTag) error {
	w.tags[at] = ""
	err := reg.DeleteTag(ctx, at.image, at.tag)
	if err == nil || errors.Is(err, registry.CodeManifestUnknown) || errors.Is(err, registry.CodeNameUnknown) {
		delete(w.tags, at)
		return nil
	}
	return err
}

// remove deletes a manifest of its own by digest.
func (w *gcWriter) remove(ctx context.Context, reg registry.Registry) error {
	image, layer := w.pick()
	desc, err := w.push(ctx, reg, image, layer, fmt.Sprintf("%d to remove", w.id), "", "")
	if err != nil {
		return err
	}
	return reg.DeleteManifest(ctx, image, desc.Digest)
}

// leased pushes a version, leases it, deletes its tag where it may, and finds
// it whole as long as the lease is there. Then it is deleted.
func (w *gcWriter) leased(ctx context.Context, l *life) error {
	if err := w.release(ctx, l); err != nil {
		return err
	}
	w.n++
	image, layer := w.pick()
	tag := fmt.Sprintf("%d.%d-20260102T030405Z-00000000000a", w.id, w.n)
	desc, err := w.push(ctx, l.reg, image, layer, tag, tag, "")
	if err != nil {
		return err
	}
	at := gcTag{image, tag}
	holder := fmt.Sprintf("writer-%d", w.id)
	if _, err := l.api.Lease(ctx, promotion.LeaseRequest{Image: image, Digest: desc.Digest, Holder: holder, Lifetime: promotion.Duration(time.Minute)}); err != nil {
		return err
	}
	w.g.leases.Add(1)
	w.lease = &promotion.ReleaseRequest{Image: image, Digest: desc.Digest, Holder: holder}
	w.g.told(w.untag(ctx, l.reg, at))
	for range rand.IntN(4) {
		time.Sleep(500 * time.Millisecond)
		if err := pullAll(ctx, l.reg, image, desc.Digest); err != nil && registry.ErrorCode(err) != "" {
			w.g.t.Errorf("%s@%s is leased: %v", image, desc.Digest, err)
		}
	}
	if err := w.release(ctx, l); err != nil {
		return err
	}
	if _, err := l.api.Delete(ctx, promotion.DeleteRequest{Image: image, Digest: desc.Digest}); err == nil {
		delete(w.tags, at)
	}
	return nil
}

func (w *gcWriter) release(ctx context.Context, l *life) error {
	if w.lease == nil {
		return nil
	}
	err := l.api.Release(ctx, *w.lease)
	if err == nil || promotion.KindOf(err) == promotion.KindNotFound {
		w.lease = nil
		return nil
	}
	return err
}

// finish ends the lease, and deletes the tags of which nothing is known and half
// of the others.
func (w *gcWriter) finish() {
	ctx := w.g.t.Context()
	w.insist("release", func(l *life) error { return w.release(ctx, l) })
	for at, d := range w.tags {
		if d == "" || rand.IntN(2) == 0 {
			w.insist(fmt.Sprint("delete ", at), func(l *life) error { return w.untag(ctx, l.reg, at) })
		}
	}
}

func (w *gcWriter) insist(what string, f func(l *life) error) {
	for n := 0; ; n++ {
		err := f(w.g.any(w.g.t.Context()))
		if err == nil {
			return
		}
		if w.g.kills > 0 && strings.Contains(err.Error(), "being removed right now") {
			return // by a server that was killed: the version stays until that counts as over
		}
		if n == 10 {
			w.g.t.Errorf("%s: %v", what, err)
			return
		}
		time.Sleep(time.Second)
	}
}
