package layers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// image is an assembled image: its manifest and config in their final bytes.
type image struct {
	layers      []v1.Layer
	config      *v1.ConfigFile
	rawConfig   []byte
	manifest    v1.Manifest
	rawManifest []byte
	digest      v1.Hash
}

var _ v1.Image = (*image)(nil)

// seal fixes the bytes of config and manifest.
func (img *image) seal(config *v1.ConfigFile, annotations map[string]string) error {
	raw, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("assemble image: config: %w", err)
	}
	digest, size, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	// What is handed out is what a reader of the bytes sees.
	if img.config, err = v1.ParseConfigFile(bytes.NewReader(raw)); err != nil {
		return fmt.Errorf("assemble image: config: %w", err)
	}
	img.rawConfig = raw
	img.manifest.SchemaVersion = 2
	img.manifest.MediaType = types.OCIManifestSchema1
	img.manifest.Config = v1.Descriptor{MediaType: types.OCIConfigJSON, Size: size, Digest: digest}
	img.manifest.Annotations = annotations
	if img.manifest.Layers == nil {
		img.manifest.Layers = []v1.Descriptor{}
	}
	if img.rawManifest, err = json.Marshal(&img.manifest); err != nil {
		return fmt.Errorf("assemble image: manifest: %w", err)
	}
	parsed, err := v1.ParseManifest(bytes.NewReader(img.rawManifest))
	if err != nil {
		return fmt.Errorf("assemble image: manifest: %w", err)
	}
	img.manifest = *parsed
	img.digest, _, err = v1.SHA256(bytes.NewReader(img.rawManifest))
	return err
}

// Layers returns the layers, bottom first.
func (img *image) Layers() ([]v1.Layer, error) { return append([]v1.Layer(nil), img.layers...), nil }

// MediaType returns that of an OCI manifest.
func (img *image) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// Size returns the manifest's size in bytes.
func (img *image) Size() (int64, error) { return int64(len(img.rawManifest)), nil }

// ConfigName returns the config's digest.
func (img *image) ConfigName() (v1.Hash, error) { return img.manifest.Config.Digest, nil }

// ConfigFile returns a copy of the config.
func (img *image) ConfigFile() (*v1.ConfigFile, error) { return img.config.DeepCopy(), nil }

// RawConfigFile returns the config's bytes.
func (img *image) RawConfigFile() ([]byte, error) { return bytes.Clone(img.rawConfig), nil }

// Digest returns the manifest's digest.
func (img *image) Digest() (v1.Hash, error) { return img.digest, nil }

// Manifest returns a copy of the manifest.
func (img *image) Manifest() (*v1.Manifest, error) { return img.manifest.DeepCopy(), nil }

// RawManifest returns the manifest's bytes.
func (img *image) RawManifest() ([]byte, error) { return bytes.Clone(img.rawManifest), nil }

// LayerByDigest returns the layer, or the config as one, with this digest.
func (img *image) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	if h == img.manifest.Config.Digest {
		return partial.ConfigLayer(img)
	}
	for i, d := range img.manifest.Layers {
		if d.Digest == h {
			return img.layers[i], nil
		}
	}
	return nil, fmt.Errorf("image has no layer %s", h)
}

// LayerByDiffID returns the layer whose uncompressed tar has this digest.
func (img *image) LayerByDiffID(h v1.Hash) (v1.Layer, error) {
	for i, diff := range img.config.RootFS.DiffIDs {
		if diff == h {
			return img.layers[i], nil
		}
	}
	return nil, fmt.Errorf("image has no layer with diff id %s", h)
}

// parentLayer is a layer of a parent image, known by its descriptor and looked
// up only when its content is asked for.
type parentLayer struct {
	image v1.Image
	desc  v1.Descriptor
	diff  v1.Hash
}

func (p *parentLayer) Digest() (v1.Hash, error)            { return p.desc.Digest, nil }
func (p *parentLayer) DiffID() (v1.Hash, error)            { return p.diff, nil }
func (p *parentLayer) Size() (int64, error)                { return p.desc.Size, nil }
func (p *parentLayer) MediaType() (types.MediaType, error) { return p.desc.MediaType, nil }
func (p *parentLayer) Descriptor() (*v1.Descriptor, error) { return p.desc.DeepCopy(), nil }
func (p *parentLayer) open() (v1.Layer, error)             { return p.image.LayerByDigest(p.desc.Digest) }

// Compressed returns the parent's bytes.
func (p *parentLayer) Compressed() (io.ReadCloser, error) {
	l, err := p.open()
	if err != nil {
		return nil, err
	}
	return l.Compressed()
}

// Uncompressed returns the parent's tar.
func (p *parentLayer) Uncompressed() (io.ReadCloser, error) {
	r, err := p.Compressed()
	if err != nil {
		return nil, err
	}
	z, err := Decompress(r)
	if err != nil {
		r.Close()
		return nil, err
	}
	return &stackedReader{Reader: drainAfter(z, r), closers: []io.Closer{z, r}}, nil
}
