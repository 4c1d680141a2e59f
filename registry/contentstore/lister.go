package contentstore

import (
	"context"
	"errors"
	"iter"
	"slices"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Repositories implements registry.Lister. An image is listed while it has a
// manifest. The names are held in memory.
func (r *Registry) Repositories(ctx context.Context, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var names []string
		for name, err := range r.images(ctx) {
			if err != nil {
				yield("", err)
				return
			}
			if name > after {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			has, err := r.hasAny(ctx, store.ImageKey(name)+"manifests/")
			if err != nil {
				yield("", err)
				return
			}
			if has && !yield(name, nil) {
				return
			}
		}
	}
}

// images yields every image that may have an object, in no particular order.
func (r *Registry) images(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for folder, err := range store.Folders(ctx, r.store, store.ImagesPrefix) {
			name := store.UnescapeImage(folder)
			if err == nil && registry.CheckName(name) != nil {
				continue
			}
			if !yield(name, err) || err != nil {
				return
			}
		}
	}
}

func (r *Registry) hasAny(ctx context.Context, prefix string) (bool, error) {
	for _, err := range r.store.List(ctx, prefix, "") {
		return err == nil, err
	}
	return false, nil
}

// Tags implements registry.Lister. CodeNameUnknown for an image that has
// neither tags nor manifests.
func (r *Registry) Tags(ctx context.Context, repo, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := registry.CheckName(repo); err != nil {
			yield("", err)
			return
		}
		any := false
		for tag, err := range r.tagNames(ctx, repo, after) {
			any = true
			if !yield(tag, err) || err != nil {
				return
			}
		}
		if any {
			return
		}
		known, err := r.hasAny(ctx, store.ImageKey(repo)+"manifests/")
		if err == nil && !known {
			err = registry.Errorf(registry.CodeNameUnknown, "there is no image %s", repo)
		}
		if err != nil {
			yield("", err)
		}
	}
}

// Referrers implements registry.Lister.
func (r *Registry) Referrers(ctx context.Context, repo string, d digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		if err := checkBlob(repo, d); err != nil {
			yield(ocispec.Descriptor{}, err)
			return
		}
		for info, err := range r.store.List(ctx, store.ReferrersPrefix(repo, d), "") {
			var l link
			if err == nil {
				err = r.readJSON(ctx, info.Key, &l)
			}
			if errors.Is(err, store.ErrNotFound) {
				continue // deleted meanwhile
			}
			if err != nil {
				yield(ocispec.Descriptor{}, err)
				return
			}
			if artifactType != "" && l.ArtifactType != artifactType {
				continue
			}
			if !yield(l.Descriptor, nil) {
				return
			}
		}
	}
}
