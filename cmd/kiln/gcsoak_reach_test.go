//go:build full

package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/registry"
	"kiln/registry/promotion"
	"kiln/registry/store"
)

// reachOracle finds by simple means what a store has to have.
type reachOracle struct {
	t    *testing.T
	b    *backend
	all  map[string]bool // every object
	tags map[string]digest.Digest
	need map[string]bool
	seen map[string]bool
}

// wantOnlyReachable fails unless a store that nobody changes has all that is
// reachable, and nothing else.
func wantOnlyReachable(t *testing.T, location string) {
	t.Helper()
	ctx := t.Context()
	st, err := (&app{getenv: func(string) string { return "" }}).openStorage(ctx, location, false)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBackend(st, nil, promotion.EmbeddedLifetime)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	o := &reachOracle{t: t, b: b, all: map[string]bool{}, tags: map[string]digest.Digest{}, need: map[string]bool{}, seen: map[string]bool{}}
	o.list(ctx)
	for name, d := range o.tags {
		image, tag := split(name)
		if tag = strings.TrimPrefix(tag, "tags/"); !strings.HasPrefix(tag, "sha256-") {
			o.manifest(image, d)
		}
	}
	if err := b.service.Roots(ctx, func(image string, d digest.Digest) {
		o.blob(image, d)
		o.manifest(image, d)
	}); err != nil {
		t.Fatal(err)
	}
	for key := range o.all {
		_, rest := split(key)
		kind, _, _ := strings.Cut(rest, "/")
		counts := strings.HasPrefix(key, store.BlobsPrefix) || strings.HasPrefix(key, store.DescendsPrefix) ||
			strings.HasPrefix(key, store.ImagesPrefix) && (kind == "blobs" || kind == "manifests" || kind == "referrers" || kind == "versions")
		if counts && !o.need[key] {
			t.Errorf("nothing reaches %s", key)
		}
	}
	for key := range o.need {
		if !o.all[key] {
			t.Errorf("reachable, but lost: %s", key)
		}
	}
	t.Logf("%d objects, all of them needed", len(o.need))
}

// split cuts a key of an image.
func split(key string) (image, rest string) {
	folder, rest, _ := strings.Cut(strings.TrimPrefix(key, store.ImagesPrefix), "/")
	return store.UnescapeImage(folder), rest
}

func (o *reachOracle) list(ctx context.Context) {
	o.t.Helper()
	for info, err := range o.b.storage.List(ctx, "", "") {
		if err != nil {
			o.t.Fatal(err)
		}
		o.all[info.Key] = true
	}
	for ptr, err := range o.b.storage.Pointers.List(ctx, "", "") {
		if err != nil {
			o.t.Fatal(err)
		}
		if strings.HasPrefix(ptr.Name, store.GCPrefix) {
			o.t.Errorf("left over: %s %s", ptr.Name, ptr.Value)
		}
		image, rest := split(ptr.Name)
		if tag, ok := strings.CutPrefix(rest, "tags/"); ok && strings.HasPrefix(ptr.Name, store.ImagesPrefix) {
			if desc, err := o.b.content.Tag(ctx, image, tag); err == nil {
				o.tags[ptr.Name] = desc.Digest
			} else if registry.ErrorCode(err) != registry.CodeManifestUnknown {
				o.t.Errorf("tag %s: %v", ptr.Name, err)
			}
		}
	}
}

// blob needs a blob's link, if there is one, and its bytes.
func (o *reachOracle) blob(image string, d digest.Digest) {
	if key := store.BlobLinkKey(image, d); o.all[key] {
		o.need[key] = true
	}
	o.need[store.BlobKey(d)] = true
}

func (o *reachOracle) manifest(image string, d digest.Digest) {
	key := store.ManifestLinkKey(image, d)
	if o.seen[key] {
		return
	}
	o.seen[key], o.need[key] = true, true
	o.need[store.BlobKey(d)] = true
	_, content, err := o.b.content.Manifest(o.t.Context(), image, d)
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
		o.need[store.BlobLinkKey(image, l.Digest)] = true
		o.blob(image, l.Digest)
	}
	for _, c := range m.Manifests {
		o.manifest(image, c.Digest)
	}
	o.around(image, d, digest.Digest(m.Annotations[ocispec.AnnotationBaseImageDigest]))
}

// around follows what the store says of a manifest.
func (o *reachOracle) around(image string, d, parent digest.Digest) {
	for key := range o.all {
		of, rest := split(key)
		switch {
		case of == image && strings.HasPrefix(rest, "referrers/") && strings.HasSuffix(rest, "/"+string(d)),
			of == image && strings.HasPrefix(rest, "versions/") && strings.HasSuffix(rest, "-"+string(d)),
			strings.HasPrefix(key, store.DescendsPrefix) && strings.HasSuffix(key, "/"+store.EscapeImage(image)+"@"+string(d)):
			o.need[key] = true
		}
		if r, ok := strings.CutPrefix(key, store.ReferrersPrefix(image, d)); ok {
			o.manifest(image, digest.Digest(r))
		}
		if parent != "" && rest == "manifests/"+string(parent) {
			o.manifest(of, parent)
		}
	}
	for name, target := range o.tags {
		of, rest := split(name)
		if strings.HasPrefix(rest, "tags/"+strings.Replace(string(d), ":", "-", 1)) {
			o.manifest(of, target)
		}
	}
}
