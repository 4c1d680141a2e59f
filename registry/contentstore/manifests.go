package contentstore

import (
	"bytes"
	"context"
	"errors"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// pushAttempts bounds how often a push that crosses collections starts over.
const pushAttempts = 4

// PushManifest implements registry.Writer. It writes, in this order: bytes,
// link, referrer entry, tags; for a version tag its entries before the tag.
func (r *Registry) PushManifest(ctx context.Context, repo string, in registry.Manifest) (ocispec.Descriptor, error) {
	d, err := checkPush(repo, in)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	m, err := parseManifest(in.MediaType, in.Content)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	for _, tag := range in.Tags {
		if registry.IsVersionTag(tag) {
			if _, err := r.checkVersionTag(ctx, repo, tag, d); err != nil {
				return ocispec.Descriptor{}, err
			}
		}
	}
	l := link{
		Descriptor: ocispec.Descriptor{
			MediaType: m.mediaType, Digest: d, Size: int64(len(in.Content)),
			ArtifactType: m.artifactType, Annotations: m.annotations,
		},
		Subject: m.subject,
	}
	for range pushAttempts {
		done, err := r.pushManifest(ctx, repo, in, l, m)
		if done || err != nil {
			return l.plain(), err
		}
	}
	return ocispec.Descriptor{}, beingCollected(d)
}

// pushManifest tells whether the manifest stayed: a collection that condemned
// it before may have taken it away on the way, and then all is done again.
func (r *Registry) pushManifest(ctx context.Context, repo string, in registry.Manifest, l link, m manifest) (bool, error) {
	if err := r.checkReferences(ctx, repo, m); err != nil {
		return false, err
	}
	if err := r.put(ctx, store.BlobKey(l.Digest), bytes.NewReader(in.Content)); err != nil {
		return false, err
	}
	if err := r.linkManifest(ctx, repo, l); err != nil {
		return false, err
	}
	if whole, err := r.settle(ctx, repo, l, m); !whole || err != nil {
		return false, err
	}
	if len(in.Tags) == 0 {
		return true, nil
	}
	if err := r.setTags(ctx, repo, in.Tags, l, m); err != nil {
		return false, err
	}
	return r.stays(ctx, repo, l.Digest)
}

// linkManifest makes a manifest one of repo, and a referrer of its subject.
func (r *Registry) linkManifest(ctx context.Context, repo string, l link) error {
	if err := r.putJSON(ctx, store.ManifestLinkKey(repo, l.Digest), l); err != nil {
		return err
	}
	if l.Subject == "" {
		return nil
	}
	return r.putJSON(ctx, store.ReferrersPrefix(repo, l.Subject)+string(l.Digest), l)
}

// setTags moves the tags. A delete that ran meanwhile either saw a version tag
// and put back what it took, or is seen here and by stays and undone: so no
// acknowledged tag names what is gone.
func (r *Registry) setTags(ctx context.Context, repo string, tags []string, l link, m manifest) error {
	version := false
	for _, tag := range tags {
		var err error
		if registry.IsVersionTag(tag) {
			version = true
			err = r.commitVersion(ctx, repo, tag, l.Digest, m)
		} else {
			err = r.moveTag(ctx, repo, tag, l.Digest)
		}
		if err != nil {
			return err
		}
	}
	if !version {
		return nil
	}
	return r.restoreAll(ctx, repo, m, map[digest.Digest]bool{})
}

// restoreAll puts back links of what m names at any depth, where a deletion
// that did not see the tag yet has taken them.
func (r *Registry) restoreAll(ctx context.Context, repo string, m manifest, seen map[digest.Digest]bool) error {
	for _, b := range m.blobs {
		if foreign(b) || seen[b.Digest] {
			continue
		}
		seen[b.Digest] = true
		ok, err := r.exists(ctx, store.BlobLinkKey(repo, b.Digest))
		if err == nil && !ok {
			err = r.addLink(ctx, repo, b.Digest)
		}
		if err != nil {
			return err
		}
	}
	for _, c := range m.manifests {
		if foreign(c) || seen[c.Digest] {
			continue
		}
		seen[c.Digest] = true
		child, err := r.restoreManifest(ctx, repo, c)
		if err == nil {
			err = r.restoreAll(ctx, repo, child, seen)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// restoreManifest returns a manifest that repo has, or has again.
func (r *Registry) restoreManifest(ctx context.Context, repo string, desc ocispec.Descriptor) (manifest, error) {
	m, err := r.readManifest(ctx, repo, desc.Digest)
	if !errors.Is(err, registry.CodeManifestUnknown) {
		return m, err
	}
	l, m, err := r.linkOf(ctx, desc.MediaType, desc.Digest)
	if errors.Is(err, store.ErrNotFound) {
		return m, beingCollected(desc.Digest)
	}
	if err == nil {
		err = r.linkManifest(ctx, repo, l)
	}
	if err != nil {
		return m, err
	}
	stays, err := r.stays(ctx, repo, desc.Digest)
	if err == nil && !stays {
		err = beingCollected(desc.Digest)
	}
	return m, err
}

func checkPush(repo string, in registry.Manifest) (digest.Digest, error) {
	if err := registry.CheckName(repo); err != nil {
		return "", err
	}
	for _, tag := range in.Tags {
		if err := registry.CheckTag(tag); err != nil {
			return "", err
		}
	}
	if len(in.Content) > registry.MaxManifestSize {
		return "", registry.Errorf(registry.CodeManifestInvalid, "manifest has %d bytes, at most %d", len(in.Content), registry.MaxManifestSize)
	}
	if in.Digest == "" {
		return digest.FromBytes(in.Content), nil
	}
	if err := registry.CheckDigest(in.Digest); err != nil {
		return "", err
	}
	if got := in.Digest.Algorithm().FromBytes(in.Content); got != in.Digest {
		return "", registry.Errorf(registry.CodeDigestInvalid, "manifest has digest %s, not %s", got, in.Digest)
	}
	return in.Digest, nil
}

// checkReferences refuses a manifest that names what repo does not have, or
// has with another size.
func (r *Registry) checkReferences(ctx context.Context, repo string, m manifest) error {
	type reference struct {
		digest digest.Digest
		size   int64
	}
	seen := map[reference]bool{}
	check := func(d ocispec.Descriptor, size func() (int64, error), unknown registry.Code) error {
		ref := reference{d.Digest, d.Size}
		if seen[ref] || foreign(d) {
			return nil
		}
		seen[ref] = true
		have, err := size()
		if errors.Is(err, unknown) {
			return registry.Errorf(registry.CodeManifestBlobUnknown, "manifest names %s, which image %s does not have", d.Digest, repo)
		}
		if err == nil && have != d.Size {
			err = registry.Errorf(registry.CodeManifestInvalid, "manifest says that %s has %d bytes, it has %d", d.Digest, d.Size, have)
		}
		return err
	}
	for _, b := range m.blobs {
		if err := check(b, func() (int64, error) {
			desc, err := r.statBlob(ctx, repo, b.Digest)
			return desc.Size, err
		}, registry.CodeBlobUnknown); err != nil {
			return err
		}
	}
	for _, c := range m.manifests {
		if err := check(c, func() (int64, error) {
			l, err := r.manifestLink(ctx, repo, c.Digest)
			return l.Size, err
		}, registry.CodeManifestUnknown); err != nil {
			return err
		}
	}
	return nil
}
