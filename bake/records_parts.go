package bake

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"kiln/layers"
	"kiln/registry"
)

// Parts are the records of a version: its own, or that of each of its platforms.
// ErrNoRecord if one has none that counts.
func (r *Records) Parts(ctx context.Context, image string, d digest.Digest) ([]*StoredRecord, error) {
	platforms, err := r.platforms(ctx, image, d)
	if err != nil {
		return nil, err
	}
	if len(platforms) == 0 {
		platforms = []digest.Digest{d}
	}
	var list []*StoredRecord
	for _, p := range platforms {
		rec, err := r.Of(ctx, image, p)
		if err != nil {
			return nil, err
		}
		list = append(list, rec)
	}
	return list, nil
}

// platforms are the images of an index; none if d is an image.
func (r *Records) platforms(ctx context.Context, image string, d digest.Digest) ([]digest.Digest, error) {
	desc, raw, err := r.Registry.Manifest(ctx, image, d)
	if err != nil {
		return nil, fmt.Errorf("read %s@%s: %w", image, d, err)
	}
	m, err := registry.ParseManifest(desc.MediaType, raw)
	if err != nil {
		return nil, fmt.Errorf("read %s@%s: %w", image, d, err)
	}
	var list []digest.Digest
	for _, p := range m.Manifests {
		list = append(list, p.Digest)
	}
	return list, nil
}

// Compression is how the layers of a version are compressed; "" if it has none
// of its own.
func (r *StoredRecord) Compression() layers.Compression {
	for _, s := range r.Steps {
		if s.Layer != nil {
			return s.Layer.Compression
		}
	}
	return ""
}

// Again names the steps that are made again on any other parent: all but those
// that only place files.
func (r *StoredRecord) Again() []string {
	var names []string
	for _, s := range r.Steps {
		if s.Kind != ContentStep {
			names = append(names, s.Name)
		}
	}
	return names
}
