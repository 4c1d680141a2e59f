// Package contentstore is a registry.Registry over a store: content once under
// its digest, per image a small link for each blob and manifest it may serve,
// and pointers for tags. The names of it all are in package store.
//
// What it promises beyond registry.Registry: a blob or manifest is visible
// only whole, verified and durable; bytes are hashed again when they are read
// whole, and a mismatch is an error (CodeCorrupt); a version tag
// (registry.IsVersionTag) is write-once, also after its deletion, and keeps
// what it reaches from being deleted. Several processes can share a store, and
// what one deletes no other brings back: whatever is kept in memory is looked
// for in the store each time.
package contentstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Registry implements registry.Registry. Safe for concurrent use.
type Registry struct {
	store    store.Store
	pointers store.Pointers
	now      func() time.Time
	lifetime time.Duration
	term     time.Duration // of a collector
	owner    func(ctx context.Context) string

	secret ticketSecret
	// spent are sessions that this process has finished or cancelled: nothing
	// in the store tells such an upload from one that has no chunk yet. Another
	// replica may take its ticket for new, which harms nobody: it is still only
	// its owner's, and begins with no bytes.
	spent recent
	// received are the chunks that this process has written: see trusts.
	received recent
	checked  checked

	manifests manifestCache
	read      tagMemo
}

var _ registry.Registry = (*Registry)(nil)

// Options of New; the zero value is fine.
type Options struct {
	Now            func() time.Time // the clock; time.Now by default
	UploadLifetime time.Duration    // of an upload since its last chunk; 24 hours by default
	// Owner says who uploads: an upload serves no other. By default all are one.
	Owner func(ctx context.Context) string
}

// New makes a registry over the two halves of one store.
func New(s store.Store, p store.Pointers, opts Options) *Registry {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.UploadLifetime <= 0 {
		opts.UploadLifetime = 24 * time.Hour
	}
	if opts.Owner == nil {
		opts.Owner = func(context.Context) string { return "" }
	}
	return &Registry{
		store: s, pointers: p, now: opts.Now, lifetime: opts.UploadLifetime, term: collectorTerm, owner: opts.Owner,
	}
}

// link is what lies at a manifest's link and at a referrer's entry.
type link struct {
	ocispec.Descriptor               // with artifactType and annotations
	Subject            digest.Digest `json:"subject,omitempty"`
}

// plain is the descriptor that names content and no more.
func (l link) plain() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size}
}

// maxLink bounds a link that is read, in bytes: a manifest's annotations.
const maxLink = registry.MaxManifestSize + 1<<16

// manifestLink reads the link of a manifest; CodeManifestUnknown if repo has none.
func (r *Registry) manifestLink(ctx context.Context, repo string, d digest.Digest) (link, error) {
	var l link
	err := r.readJSON(ctx, store.ManifestLinkKey(repo, d), &l)
	if errors.Is(err, store.ErrNotFound) {
		return link{}, registry.Errorf(registry.CodeManifestUnknown, "image %s has no manifest %s", repo, d)
	}
	if err == nil && l.Digest != d {
		err = registry.Errorf(registry.CodeCorrupt, "link of manifest %s in %s names %s", d, repo, l.Digest)
	}
	return l, err
}

func (r *Registry) readJSON(ctx context.Context, key string, v any) error {
	data, err := r.readObject(ctx, key, maxLink)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return registry.Errorf(registry.CodeCorrupt, "object %s is damaged: %w", key, err)
	}
	return nil
}

func (r *Registry) readObject(ctx context.Context, key string, limit int64) ([]byte, error) {
	rc, err := r.store.Open(ctx, key, 0, limit+1)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if int64(len(data)) > limit {
		return nil, registry.Errorf(registry.CodeCorrupt, "object %s has more than %d bytes", key, limit)
	}
	return data, nil
}

func (r *Registry) putJSON(ctx context.Context, key string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return r.put(ctx, key, bytes.NewReader(data))
}

// put is store.Put with the codes that a read-only and a full store have on
// the wire.
func (r *Registry) put(ctx context.Context, key string, body io.Reader) error {
	return coded(r.store.Put(ctx, key, body))
}

func coded(err error) error {
	switch {
	case errors.Is(err, store.ErrReadOnly):
		return registry.Errorf(registry.CodeUnsupported, "this store takes no writes: %w", err)
	case errors.Is(err, store.ErrFull):
		return registry.Errorf(registry.CodeFull, "this store has no room left: %w", err)
	}
	return err
}

// exists tells whether an object is there.
func (r *Registry) exists(ctx context.Context, key string) (bool, error) {
	_, err := r.store.Stat(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
