package contentstore

import (
	"context"
	"errors"
	"strings"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// Problem is one thing that is wrong in a store.
type Problem struct {
	Image  string        // "" where it concerns all
	Digest digest.Digest // "" where there is none
	Err    error
}

// Scrub reads everything: it hashes every blob again, looks for the bytes of
// every link, and for all that version tags reach. The error is for a scrub
// that could not be done to its end; found problems are no error.
func (r *Registry) Scrub(ctx context.Context) ([]Problem, error) {
	var s scrub
	if err := s.blobs(ctx, r); err != nil {
		return s.problems, err
	}
	for image, err := range r.images(ctx) {
		if err == nil {
			err = s.links(ctx, r, image)
		}
		if err == nil {
			err = s.versions(ctx, r, image)
		}
		if err != nil {
			return s.problems, err
		}
	}
	return s.problems, nil
}

type scrub struct{ problems []Problem }

func (s *scrub) found(image string, d digest.Digest, err error) {
	s.problems = append(s.problems, Problem{image, d, err})
}

func (s *scrub) blobs(ctx context.Context, r *Registry) error {
	for info, err := range r.store.List(ctx, store.BlobsPrefix, "") {
		if err != nil {
			return err
		}
		d := blobDigest(info.Key)
		if d == "" {
			s.found("", "", registry.Errorf(registry.CodeCorrupt, "object %s is at no blob's place", info.Key))
			continue
		}
		err := r.scrubBlob(ctx, d)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) { // deleted meanwhile
			s.found("", d, err)
		}
	}
	return nil
}

// blobDigest reverses store.BlobKey; "" for another key.
func blobDigest(key string) digest.Digest {
	parts := strings.Split(strings.TrimPrefix(key, store.BlobsPrefix), "/")
	if len(parts) != 3 {
		return ""
	}
	d := digest.Digest(parts[0] + ":" + parts[2])
	if registry.CheckDigest(d) != nil || store.BlobKey(d) != key {
		return ""
	}
	return d
}

func (r *Registry) scrubBlob(ctx context.Context, d digest.Digest) error {
	rc, err := r.store.Open(ctx, store.BlobKey(d), 0, -1)
	if err != nil {
		return err
	}
	defer rc.Close()
	return newVerifier(rc, d, -1, registry.CodeCorrupt).drain()
}

// links looks for the bytes of what an image may serve.
func (s *scrub) links(ctx context.Context, r *Registry, image string) error {
	for _, kind := range []string{"blobs/", "manifests/"} {
		prefix := store.ImageKey(image) + kind
		for info, err := range r.store.List(ctx, prefix, "") {
			if err != nil {
				return err
			}
			d := digest.Digest(strings.TrimPrefix(info.Key, prefix))
			if err := registry.CheckDigest(d); err != nil {
				s.found(image, "", err)
				continue
			}
			switch there, err := r.exists(ctx, store.BlobKey(d)); {
			case err != nil:
				return err
			case !there:
				s.found(image, d, registry.Errorf(registry.CodeCorrupt, "linked by %s, but its bytes are gone", image))
			}
		}
	}
	return nil
}

// versions looks for all that an image's version tags reach.
func (s *scrub) versions(ctx context.Context, r *Registry, image string) error {
	seen := map[digest.Digest]bool{}
	for e, err := range r.tags(ctx, image, "") {
		if err != nil { // a tag that cannot be read is a finding
			s.found(image, "", err)
			return ctx.Err()
		}
		if registry.IsVersionTag(e.tag) {
			s.manifest(ctx, r, image, e.digest, seen)
		}
	}
	return nil
}

func (s *scrub) manifest(ctx context.Context, r *Registry, image string, d digest.Digest, seen map[digest.Digest]bool) {
	if seen[d] {
		return
	}
	seen[d] = true
	m, err := r.readManifest(ctx, image, d)
	if err == nil {
		err = r.checkReferences(ctx, image, m)
	}
	if err != nil {
		s.found(image, d, err)
		return
	}
	for _, c := range m.manifests {
		s.manifest(ctx, r, image, c.Digest, seen)
	}
}
