package imagecopy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// tagAttached sets cosign's tags at the destination, where others may have
// signed the same image: their signatures stay.
func (c *copier) tagAttached(ctx context.Context, tags map[string]digest.Digest) error {
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		if c.inPlace() {
			continue
		}
		m, err := c.signatures(ctx, tag, tags[tag])
		if err == nil && m != nil {
			m.Tags = []string{tag}
			err = c.patiently(ctx, func() error {
				_, err := c.dst.PushManifest(ctx, c.to, *m)
				return err
			})
		}
		if err != nil {
			return fmt.Errorf("tag %s: %w", tag, err)
		}
		c.result.Tags = append(c.result.Tags, tag)
	}
	return nil
}

// signatures is the manifest that tag is to name: that of the source, with what
// the destination's has besides; nil if the destination's has it all.
func (c *copier) signatures(ctx context.Context, tag string, d digest.Digest) (*registry.Manifest, error) {
	desc, content, err := c.src.Manifest(ctx, c.from, d)
	if err != nil {
		return nil, err
	}
	ours := &registry.Manifest{MediaType: desc.MediaType, Content: content, Digest: d}
	there, err := c.dst.Tag(ctx, c.to, tag)
	switch {
	case absent(err), err == nil && strings.HasSuffix(tag, ".sbom"): // one document, not a list
		return ours, nil
	case err != nil:
		return nil, err
	case there.Digest == d:
		return nil, nil
	}
	_, theirs, err := c.dst.Manifest(ctx, c.to, there.Digest)
	if absent(err) {
		return ours, nil
	}
	if err != nil {
		return nil, err
	}
	return c.union(ctx, ours, theirs)
}

// union puts the layers of two manifests of signatures into one, as cosign
// does when it adds a signature.
func (c *copier) union(ctx context.Context, ours *registry.Manifest, theirs []byte) (*registry.Manifest, error) {
	var a, b ocispec.Manifest
	if json.Unmarshal(ours.Content, &a) != nil || json.Unmarshal(theirs, &b) != nil {
		return nil, registry.Errorf(registry.CodeManifestInvalid, "the destination has something else there")
	}
	layers := merge(b.Layers, a.Layers)
	switch len(layers) {
	case len(b.Layers):
		return nil, nil
	case len(a.Layers):
		return ours, nil
	}
	config := ocispec.Image{RootFS: ocispec.RootFS{Type: "layers"}}
	for _, layer := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.Digest)
	}
	content, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	a.Layers = layers
	a.Config.Digest, a.Config.Size, a.Config.Data = digest.FromBytes(content), int64(len(content)), nil
	if err := c.dst.PushBlob(ctx, c.to, a.Config, bytes.NewReader(content)); err != nil {
		return nil, err
	}
	if content, err = json.Marshal(a); err != nil {
		return nil, err
	}
	return &registry.Manifest{MediaType: ours.MediaType, Content: content}, nil
}

// merge appends to a what it lacks of b: another payload, or another signature
// over the same.
func merge(a, b []ocispec.Descriptor) []ocispec.Descriptor {
	all := slices.Clone(a)
	for _, d := range b {
		if !slices.ContainsFunc(a, func(have ocispec.Descriptor) bool {
			return have.Digest == d.Digest && maps.Equal(have.Annotations, d.Annotations)
		}) {
			all = append(all, d)
		}
	}
	return all
}
