package contentstore

import (
	"bytes"
	"context"
	"errors"
	"io"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// blobMediaType is what a blob is served as: what it is, its manifest says.
const blobMediaType = "application/octet-stream"

// StatBlob implements registry.Reader. Whoever is told that a blob is there
// may leave it out of a push, so this rescues it from a collection.
func (r *Registry) StatBlob(ctx context.Context, repo string, d digest.Digest) (ocispec.Descriptor, error) {
	if err := checkBlob(repo, d); err != nil {
		return ocispec.Descriptor{}, err
	}
	err := r.rescue(ctx, repo, d)
	if errors.Is(err, registry.CodeTooManyRequests) { // its deletion goes on
		return ocispec.Descriptor{}, noBlob(store.ErrNotFound, repo, d)
	}
	if err != nil && !errors.Is(err, store.ErrReadOnly) { // nothing collects on such a medium
		return ocispec.Descriptor{}, err
	}
	return r.statBlob(ctx, repo, d)
}

func (r *Registry) statBlob(ctx context.Context, repo string, d digest.Digest) (ocispec.Descriptor, error) {
	if _, err := r.store.Stat(ctx, store.BlobLinkKey(repo, d)); err != nil {
		return ocispec.Descriptor{}, noBlob(err, repo, d)
	}
	info, err := r.store.Stat(ctx, store.BlobKey(d))
	if err != nil {
		return ocispec.Descriptor{}, noBlob(err, repo, d)
	}
	return ocispec.Descriptor{MediaType: blobMediaType, Digest: d, Size: info.Size}, nil
}

// OpenBlob implements registry.Reader. A blob that is read whole is hashed on
// the way; where it does not match, the last read returns CodeCorrupt. One
// that this process has found right, and that nobody has written to since, is
// a registry.CheckedBlob.
func (r *Registry) OpenBlob(ctx context.Context, repo string, d digest.Digest, offset, length int64) (io.ReadCloser, error) {
	if err := checkBlob(repo, d); err != nil {
		return nil, err
	}
	desc, err := r.statBlob(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	if offset < 0 || offset > desc.Size {
		return nil, registry.Errorf(registry.CodeRangeInvalid, "offset %d is outside blob %s of %d bytes", offset, d, desc.Size)
	}
	rc, err := r.store.Open(ctx, store.BlobKey(d), offset, length)
	if err != nil {
		return nil, noBlob(err, repo, d)
	}
	return r.blobReader(rc, d, offset == 0 && (length < 0 || length >= desc.Size)), nil
}

// Manifest implements registry.Reader. Bytes that do not match are CodeCorrupt.
// They are hashed when they are read: see manifestCache.
func (r *Registry) Manifest(ctx context.Context, repo string, d digest.Digest) (ocispec.Descriptor, []byte, error) {
	if err := checkBlob(repo, d); err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	if m, ok := r.cachedManifest(ctx, repo, d); ok {
		return m.link.plain(), m.bytes(), nil
	}
	linkInfo, linkErr := r.store.Stat(ctx, store.ManifestLinkKey(repo, d))
	info, infoErr := r.store.Stat(ctx, store.BlobKey(d))
	l, err := r.manifestLink(ctx, repo, d)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	content, err := r.readObject(ctx, store.BlobKey(d), registry.MaxManifestSize)
	if errors.Is(err, store.ErrNotFound) {
		if _, err := r.manifestLink(ctx, repo, d); err != nil { // collected meanwhile
			return ocispec.Descriptor{}, nil, err
		}
		return ocispec.Descriptor{}, nil, registry.Errorf(registry.CodeCorrupt, "manifest %s of %s is linked, but its bytes are gone", d, repo)
	}
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	if err := newVerifier(bytes.NewReader(content), d, -1, registry.CodeCorrupt).drain(); err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	if linkErr == nil && infoErr == nil {
		r.manifests.add(cacheKey{repo, d}, &keptManifest{l, linkInfo, info, bytes.Clone(content)})
	}
	return l.plain(), content, nil
}

var _ registry.TagFollower = (*Registry)(nil)

// ManifestByTag implements registry.TagFollower: the manifest's link is looked
// at once. A tag that moves while its old manifest is deleted is followed again.
func (r *Registry) ManifestByTag(ctx context.Context, repo, tag string) (ocispec.Descriptor, []byte, error) {
	for again := false; ; again = true {
		d, err := r.tagged(ctx, repo, tag)
		if err != nil {
			return ocispec.Descriptor{}, nil, err
		}
		desc, content, err := r.Manifest(ctx, repo, d)
		if again || !errors.Is(err, registry.CodeManifestUnknown) {
			return desc, content, err
		}
	}
}

// tagged is what a tag names, which may be gone.
func (r *Registry) tagged(ctx context.Context, repo, tag string) (digest.Digest, error) {
	if err := checkTag(repo, tag); err != nil {
		return "", err
	}
	t, _, err := r.loadTag(ctx, repo, tag)
	if err == nil && !t.live() {
		err = noTag(repo, tag)
	}
	return t.Digest, err
}

// Tag implements registry.Reader.
func (r *Registry) Tag(ctx context.Context, repo, tag string) (ocispec.Descriptor, error) {
	d, err := r.tagged(ctx, repo, tag)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if m, ok := r.cachedLink(ctx, repo, d); ok {
		return m.link.plain(), nil
	}
	l, err := r.manifestLink(ctx, repo, d)
	return l.plain(), err
}

func noTag(repo, tag string) error {
	return registry.Errorf(registry.CodeManifestUnknown, "image %s has no tag %s", repo, tag)
}

func noBlob(err error, repo string, d digest.Digest) error {
	if errors.Is(err, store.ErrNotFound) {
		return registry.Errorf(registry.CodeBlobUnknown, "image %s has no blob %s", repo, d)
	}
	return err
}

func checkBlob(repo string, d digest.Digest) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	return registry.CheckDigest(d)
}

func checkTag(repo, tag string) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	return registry.CheckTag(tag)
}
