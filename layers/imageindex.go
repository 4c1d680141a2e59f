package layers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// imageIndex is an assembled index: its manifest in its final bytes.
type imageIndex struct {
	images []v1.Image
	raw    []byte
	digest v1.Hash
}

var _ v1.ImageIndex = (*imageIndex)(nil)

// AssembleIndex returns the OCI image index of images for different platforms,
// in their order. Its manifest follows from the images' manifests, their
// platforms and the annotations alone, byte for byte.
func AssembleIndex(images []v1.Image, annotations map[string]string) (v1.ImageIndex, error) {
	if len(images) == 0 {
		return nil, errors.New("assemble index: no image")
	}
	manifest := v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex, Annotations: maps.Clone(annotations),
	}
	seen := map[string]bool{}
	for _, img := range images {
		d, err := describeImage(img)
		if err != nil {
			return nil, fmt.Errorf("assemble index: %w", err)
		}
		if seen[d.Platform.String()] {
			return nil, fmt.Errorf("assemble index: two images for %s", d.Platform)
		}
		seen[d.Platform.String()] = true
		manifest.Manifests = append(manifest.Manifests, d)
	}
	raw, err := json.Marshal(manifest)
	if err != nil {
		return nil, fmt.Errorf("assemble index: %w", err)
	}
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	return &imageIndex{images: images, raw: raw, digest: digest}, err
}

// describeImage is the descriptor of an image with its platform.
func describeImage(img v1.Image) (d v1.Descriptor, err error) {
	if d.Digest, err = img.Digest(); err != nil {
		return d, err
	}
	if d.Size, err = img.Size(); err != nil {
		return d, err
	}
	if d.MediaType, err = img.MediaType(); err != nil {
		return d, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return d, err
	}
	if config.OS == "" || config.Architecture == "" {
		return d, fmt.Errorf("%s has no platform", d.Digest)
	}
	d.Platform = &v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}
	return d, nil
}

// MediaType returns that of an OCI index.
func (ix *imageIndex) MediaType() (types.MediaType, error) { return types.OCIImageIndex, nil }

// Digest returns the manifest's digest.
func (ix *imageIndex) Digest() (v1.Hash, error) { return ix.digest, nil }

// Size returns the manifest's size in bytes.
func (ix *imageIndex) Size() (int64, error) { return int64(len(ix.raw)), nil }

// RawManifest returns the manifest's bytes.
func (ix *imageIndex) RawManifest() ([]byte, error) { return bytes.Clone(ix.raw), nil }

// IndexManifest returns a copy of the manifest.
func (ix *imageIndex) IndexManifest() (*v1.IndexManifest, error) {
	return v1.ParseIndexManifest(bytes.NewReader(ix.raw))
}

// Image returns the image with this digest.
func (ix *imageIndex) Image(h v1.Hash) (v1.Image, error) {
	for _, img := range ix.images {
		if d, err := img.Digest(); err == nil && d == h {
			return img, nil
		}
	}
	return nil, fmt.Errorf("index has no image %s", h)
}

// ImageIndex returns an error: an assembled index holds images only.
func (ix *imageIndex) ImageIndex(h v1.Hash) (v1.ImageIndex, error) {
	return nil, fmt.Errorf("index has no index %s", h)
}
