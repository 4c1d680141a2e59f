package main

import (
	"context"
	"fmt"
	"io"

	"kiln/registry"
	"kiln/registry/imagecopy"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// hashLayout reads all that an image of a layout names and holds it against its
// digests: whoever runs from a folder may not do that again.
func hashLayout(ctx context.Context, src imagecopy.Source, repo string, d digest.Digest) error {
	if _, err := imagecopy.Copy(ctx, src, repo, d, nowhere{src}, repo, imagecopy.Options{Bare: true}); err != nil {
		return fmt.Errorf("what %s names: %w", d, err)
	}
	return nil
}

// nowhere is a destination that has nothing and keeps nothing.
type nowhere struct{ registry.Reader }

// StatBlob implements registry.Reader.
func (nowhere) StatBlob(_ context.Context, _ string, d digest.Digest) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, registry.Errorf(registry.CodeBlobUnknown, "no blob %s", d)
}

// Manifest implements registry.Reader.
func (nowhere) Manifest(_ context.Context, _ string, d digest.Digest) (ocispec.Descriptor, []byte, error) {
	return ocispec.Descriptor{}, nil, registry.Errorf(registry.CodeManifestUnknown, "no manifest %s", d)
}

// MountBlob implements imagecopy.Destination.
func (nowhere) MountBlob(_ context.Context, _, _ string, d digest.Digest) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, registry.Errorf(registry.CodeBlobUnknown, "no blob %s", d)
}

// PushBlob implements imagecopy.Destination.
func (nowhere) PushBlob(_ context.Context, _ string, desc ocispec.Descriptor, r io.Reader) error {
	n, err := io.Copy(io.Discard, r)
	if err == nil && n != desc.Size {
		err = registry.Errorf(registry.CodeCorrupt, "blob %s has %d bytes, not %d", desc.Digest, n, desc.Size)
	}
	return err
}

// PushManifest implements imagecopy.Destination.
func (nowhere) PushManifest(_ context.Context, _ string, m registry.Manifest) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(m.Content), Size: int64(len(m.Content))}, nil
}
