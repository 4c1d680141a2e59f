package contentstore

import (
	"context"
	"errors"
	"strings"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// recordType is the artifact type of the ledger's records, which nothing
// deletes, not even the end of their subject.
const recordType = "application/vnd.kiln.promotion.v1+json"

// DeleteBlob implements registry.Deleter. CodeDenied for a blob of a version,
// of its evidence, or of a record of the ledger.
func (r *Registry) DeleteBlob(ctx context.Context, repo string, d digest.Digest) error {
	if err := checkBlob(repo, d); err != nil {
		return err
	}
	key := store.BlobLinkKey(repo, d)
	switch there, err := r.exists(ctx, key); {
	case err != nil:
		return err
	case !there:
		return noBlob(store.ErrNotFound, repo, d)
	}
	restore := func() error { return r.addLink(ctx, repo, d) }
	check := func() error { return r.checkUnneeded(ctx, repo, d) }
	return r.unlink(ctx, key, check, restore)
}

// unlink removes a link unless check refuses. It looks again afterwards, for a
// tag that was pushed meanwhile, and then restores.
func (r *Registry) unlink(ctx context.Context, key string, check, restore func() error) error {
	if err := check(); err != nil {
		return err
	}
	if err := r.store.Delete(ctx, key); err != nil {
		return coded(err)
	}
	if err := check(); err != nil {
		return errors.Join(err, restore())
	}
	return nil
}

// checkUnpinned refuses, with CodeDenied, content that a version tag reaches.
func (r *Registry) checkUnpinned(ctx context.Context, repo string, target digest.Digest) error {
	return r.checkUnpinnedBy(ctx, repo, target, map[digest.Digest]bool{})
}

// checkUnpinnedBy notes the manifests that it has looked into: indexes may
// share children many times over.
func (r *Registry) checkUnpinnedBy(ctx context.Context, repo string, target digest.Digest, seen map[digest.Digest]bool) error {
	for e, err := range r.tags(ctx, repo, "") {
		if err != nil {
			return err
		}
		if !registry.IsVersionTag(e.tag) {
			continue
		}
		reached, err := r.reaches(ctx, repo, e.digest, target, seen)
		if err != nil {
			return err
		}
		if reached {
			return registry.Errorf(registry.CodeDenied, "%s belongs to version %s:%s; delete that tag first", target, repo, e.tag)
		}
	}
	return nil
}

// reaches tells whether target is from, or is named by it at any depth.
func (r *Registry) reaches(ctx context.Context, repo string, from, target digest.Digest, seen map[digest.Digest]bool) (bool, error) {
	if from == target {
		return true, nil
	}
	if seen[from] {
		return false, nil
	}
	seen[from] = true
	m, err := r.readManifest(ctx, repo, from)
	if errors.Is(err, registry.CodeManifestUnknown) {
		return false, nil // a push that is not done, or a sparse index
	}
	if err != nil {
		return false, err
	}
	for _, b := range m.blobs {
		if b.Digest == target {
			return true, nil
		}
	}
	for _, c := range m.manifests {
		if reached, err := r.reaches(ctx, repo, c.Digest, target, seen); reached || err != nil {
			return reached, err
		}
	}
	return false, nil
}

func (r *Registry) readManifest(ctx context.Context, repo string, d digest.Digest) (manifest, error) {
	desc, content, err := r.Manifest(ctx, repo, d)
	if err != nil {
		return manifest{}, err
	}
	return parseManifest(desc.MediaType, content)
}

// DeleteManifest implements registry.Deleter. The tags that point to it go
// first, and what refers to it goes with it: referrers, and cosign's tags
// that are named after it. CodeDenied while a version tag reaches it.
func (r *Registry) DeleteManifest(ctx context.Context, repo string, d digest.Digest) error {
	if err := checkBlob(repo, d); err != nil {
		return err
	}
	l, err := r.manifestLink(ctx, repo, d)
	if err != nil {
		return err
	}
	if l.ArtifactType == recordType {
		return registry.Errorf(registry.CodeDenied, "%s is a record of the ledger, which is never deleted", d)
	}
	if err := r.checkUnpinned(ctx, repo, d); err != nil {
		return err
	}
	if err := r.dropTags(ctx, repo, d); err != nil {
		return err
	}
	restore := func() error {
		return errors.Join(r.linkManifest(ctx, repo, l), r.rescue(ctx, everywhere, d))
	}
	check := func() error { return r.checkUnpinned(ctx, repo, d) }
	if err := r.unlink(ctx, store.ManifestLinkKey(repo, d), check, restore); err != nil {
		return err
	}
	if err := r.unlist(ctx, repo, l); err != nil {
		return err
	}
	return r.dropAttached(ctx, repo, d)
}

// unlist takes a manifest that was unlinked off its subject's list. Whoever has
// linked it again meanwhile may have found the entry still there.
func (r *Registry) unlist(ctx context.Context, repo string, l link) error {
	if l.Subject == "" {
		return nil
	}
	key := store.ReferrersPrefix(repo, l.Subject) + string(l.Digest)
	if err := r.store.Delete(ctx, key); err != nil {
		return coded(err)
	}
	again, err := r.exists(ctx, store.ManifestLinkKey(repo, l.Digest))
	if err == nil && again {
		err = r.putJSON(ctx, key, l)
	}
	return err
}

// dropTags removes the mutable tags that point to d.
func (r *Registry) dropTags(ctx context.Context, repo string, d digest.Digest) error {
	for e, err := range r.tags(ctx, repo, "") {
		if err != nil {
			return err
		}
		if e.digest != d || registry.IsVersionTag(e.tag) {
			continue
		}
		if err := r.pointers.Delete(ctx, e.ptr); err != nil && !errors.Is(err, store.ErrConflict) {
			return coded(err)
		}
	}
	return nil
}

// dropAttached deletes what lives and dies with d.
func (r *Registry) dropAttached(ctx context.Context, repo string, d digest.Digest) error {
	var attached []digest.Digest
	for desc, err := range r.Referrers(ctx, repo, d, "") {
		if err != nil {
			return err
		}
		attached = append(attached, desc.Digest)
	}
	named := strings.Replace(string(d), ":", "-", 1)
	for e, err := range r.tags(ctx, repo, "") {
		if err != nil {
			return err
		}
		if e.tag == named || strings.HasPrefix(e.tag, named+".") {
			attached = append(attached, e.digest)
		}
	}
	for _, a := range attached {
		err := r.DeleteManifest(ctx, repo, a)
		switch registry.ErrorCode(err) {
		case registry.CodeManifestUnknown, registry.CodeDenied: // gone, or kept for a reason of its own
		default:
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// DeleteTag implements registry.Deleter. A version tag leaves a tombstone and
// can never be set again.
func (r *Registry) DeleteTag(ctx context.Context, repo, tag string) error {
	if err := checkTag(repo, tag); err != nil {
		return err
	}
	for {
		t, old, err := r.loadTag(ctx, repo, tag)
		if err != nil {
			return err
		}
		if !t.live() {
			return noTag(repo, tag)
		}
		if registry.IsVersionTag(tag) {
			err = r.swapTag(ctx, old, tagValue{Digest: t.Digest, At: r.now().UTC(), Deleted: true})
		} else {
			err = coded(r.pointers.Delete(ctx, old))
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}
