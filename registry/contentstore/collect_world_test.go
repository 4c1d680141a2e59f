package contentstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/registrytest"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TB is what a test, or one draw of a property, can do.
type TB interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

// world is a store, in memory or not, with a registry over it, and roots
// beside tags.
type world struct {
	m        *memory // nil where it is not in memory
	store    store.Store
	pointers store.Pointers
	now      func() time.Time
	pass     func(time.Duration) // moves the clock
	r        *contentstore.Registry

	mu      sync.Mutex
	roots   map[root]bool
	deleted map[string]bool // keys that somebody has deleted by hand, and what hangs on them
}

type root struct {
	image  string
	digest digest.Digest
}

// longTerm is never over, shortTerm soon.
const (
	longTerm  = time.Minute
	shortTerm = 100 * time.Millisecond
)

func newWorld() *world {
	m := newMemory()
	w := &world{m: m, store: m, pointers: memoryPointers{m}, now: m.Now, pass: m.pass, roots: map[root]bool{}, deleted: map[string]bool{}}
	w.r = w.replica()
	return w
}

// folderWorld is over a filestore. What is written when the clock was moved is
// as old as its file says.
func folderWorld(t testing.TB) *world {
	s := openStore(t)
	var moved atomic.Int64
	w := &world{
		store: s, pointers: s.Pointers(), roots: map[root]bool{}, deleted: map[string]bool{},
		now:  func() time.Time { return time.Now().Add(time.Duration(moved.Load())) },
		pass: func(d time.Duration) { moved.Add(int64(d)) },
	}
	w.r = w.replica()
	return w
}

// replica is another registry over the same store.
func (w *world) replica() *contentstore.Registry {
	r := contentstore.New(w.store, w.pointers, contentstore.Options{Now: w.now})
	r.SetTerm(longTerm)
	return r
}

func (w *world) keep(image string, d digest.Digest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.roots[root{image, d}] = true
}

func (w *world) release(image string, d digest.Digest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.roots, root{image, d})
}

func (w *world) rootsNow() []root {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.roots))
}

func (w *world) options(apply bool) contentstore.CollectOptions {
	return contentstore.CollectOptions{Apply: apply, Roots: func(_ context.Context, keep func(string, digest.Digest)) error {
		for _, r := range w.rootsNow() {
			keep(r.image, r.digest)
		}
		return nil
	}}
}

func (w *world) collect(t TB, apply bool) contentstore.Collection {
	t.Helper()
	c, err := w.r.Collect(context.Background(), w.options(apply))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// settle collects until nothing more goes.
func (w *world) settle(t TB) {
	t.Helper()
	for range 8 {
		w.pass(25 * time.Hour)
		if c := w.collect(t, true); len(c.Removed)+len(c.Condemned)+c.Rescued == 0 {
			return
		}
	}
	t.Fatal("collections do not come to an end")
}

// reachable lists, by its own simple means, the keys of all that must stay.
// What it finds missing is an error.
func (w *world) reachable(t TB) map[string]bool {
	t.Helper()
	o := &oracle{t: t, w: w, all: w.snapshot(t), keys: map[string]bool{}, seen: map[root]bool{}}
	for name := range o.all {
		folder, rest, _ := strings.Cut(strings.TrimPrefix(name, store.ImagesPrefix), "/")
		if tag, ok := strings.CutPrefix(rest, "tags/"); ok && !strings.HasPrefix(tag, "sha256-") {
			if desc, err := w.r.Tag(context.Background(), store.UnescapeImage(folder), tag); err == nil {
				o.manifest(store.UnescapeImage(folder), desc.Digest)
			} else if registry.ErrorCode(err) != registry.CodeManifestUnknown {
				t.Errorf("tag %s: %v", name, err)
			}
		}
	}
	for _, r := range w.rootsNow() {
		for name := range o.all {
			folder, rest, _ := strings.Cut(strings.TrimPrefix(name, store.ImagesPrefix), "/")
			if of := store.UnescapeImage(folder); rest == "manifests/"+string(r.digest) && (r.image == of || r.image == "") {
				o.manifest(of, r.digest)
			}
		}
	}
	return o.keys
}

type oracle struct {
	t    TB
	w    *world
	all  map[string]string
	keys map[string]bool
	seen map[root]bool
	stat bool // look at the store of this moment, and only down from manifests
}

// has tells whether a key is there.
func (o *oracle) has(key string) bool {
	if !o.stat {
		_, ok := o.all[key]
		return ok
	}
	_, err := o.w.store.Stat(context.Background(), key)
	return err == nil
}

func (o *oracle) need(key string) {
	if o.keys[key] {
		return
	}
	o.keys[key] = true
	if !o.w.deleted[key] && !o.has(key) {
		o.t.Errorf("reachable, but lost: %s", key)
	}
}

func (o *oracle) manifest(image string, d digest.Digest) {
	if o.seen[root{image, d}] {
		return
	}
	o.seen[root{image, d}] = true
	if key := store.ManifestLinkKey(image, d); o.w.deleted[key] && !o.has(key) {
		return
	}
	o.need(store.ManifestLinkKey(image, d))
	o.need(store.BlobKey(d))
	_, content, err := o.w.r.Manifest(context.Background(), image, d)
	if err != nil {
		o.t.Errorf("manifest %s of %s: %v", d, image, err)
		return
	}
	var m struct {
		Config            *ocispec.Descriptor
		Layers, Manifests []ocispec.Descriptor
		Annotations       map[string]string
	}
	if err := json.Unmarshal(content, &m); err != nil {
		o.t.Fatal(err)
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, l := range m.Layers {
		o.need(store.BlobLinkKey(image, l.Digest))
		o.need(store.BlobKey(l.Digest))
	}
	for _, c := range m.Manifests {
		o.manifest(image, c.Digest)
	}
	o.around(image, d, digest.Digest(m.Annotations[ocispec.AnnotationBaseImageDigest]))
}

// around follows what the store says of a manifest.
func (o *oracle) around(image string, d, parent digest.Digest) {
	for key := range o.all {
		folder, rest, _ := strings.Cut(strings.TrimPrefix(key, store.ImagesPrefix), "/")
		of := store.UnescapeImage(folder)
		if r, ok := strings.CutPrefix(key, store.ReferrersPrefix(image, d)); ok {
			o.need(key)
			o.manifest(image, digest.Digest(r))
		}
		if of == image && strings.HasPrefix(rest, "referrers/") && strings.HasSuffix(rest, "/"+string(d)) {
			o.need(key)
		}
		if of == image && strings.HasPrefix(rest, "versions/") && strings.HasSuffix(rest, "-"+string(d)) {
			o.need(key)
		}
		if strings.HasPrefix(key, store.DescendsPrefix) && strings.HasSuffix(key, store.EscapeImage(image)+"@"+string(d)) {
			o.need(key)
		}
		if parent != "" && key == store.ManifestLinkKey(of, parent) {
			o.manifest(of, parent)
		}
		if strings.HasPrefix(rest, "tags/"+strings.Replace(string(d), ":", "-", 1)) {
			if desc, err := o.w.r.Tag(context.Background(), of, strings.TrimPrefix(rest, "tags/")); err == nil {
				o.manifest(of, desc.Digest)
			}
		}
	}
}

// wantExact fails unless the store has what is reachable and nothing else.
func (w *world) wantExact(t TB) {
	t.Helper()
	want := w.reachable(t)
	for name, value := range w.snapshot(t) {
		switch {
		case strings.HasPrefix(name, store.GCPrefix):
			t.Errorf("left over: %s %s", name, value)
		case strings.Contains(name, "/tags/"), w.deleted[name], want[name]:
		case strings.HasPrefix(name, store.ImagesPrefix), strings.HasPrefix(name, store.BlobsPrefix), strings.HasPrefix(name, store.DescendsPrefix):
			t.Errorf("not reachable, but kept: %s", name)
		}
	}
}

// snapshot is all that is stored, by name: of an object its size, of a pointer
// its value.
func (w *world) snapshot(t TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	for info, err := range w.store.List(context.Background(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		all[info.Key] = fmt.Sprint(info.Size, info.ModTime)
	}
	for ptr, err := range w.pointers.List(context.Background(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		all[ptr.Name] = string(ptr.Value)
	}
	return all
}

func pushIndex(t testing.TB, r registry.Writer, repo string, children []ocispec.Descriptor, tags ...string) ocispec.Descriptor {
	t.Helper()
	return registrytest.PushJSON(t, r, repo, ocispec.MediaTypeImageIndex, indexOf(children), tags...)
}

func indexOf(children []ocispec.Descriptor) ocispec.Index {
	return ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children}
}

func withSubject(subject ocispec.Descriptor) func(*ocispec.Manifest) {
	return func(m *ocispec.Manifest) { m.Subject = &subject }
}

func withParent(d digest.Digest) func(*ocispec.Manifest) {
	return func(m *ocispec.Manifest) {
		m.Annotations = map[string]string{ocispec.AnnotationBaseImageDigest: string(d)}
	}
}
