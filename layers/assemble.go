package layers

import (
	"errors"
	"fmt"
	"maps"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// ImageSpec is what an image is put together from.
type ImageSpec struct {
	// Parent is the image whose layers come first; nil means from scratch.
	// Only its manifest and config are read, its layers are never opened.
	Parent v1.Image
	// Layers come on top of the parent's, bottom first.
	Layers []v1.Layer
	// History has one entry per layer, and more with EmptyLayer set for what
	// made none. When empty, bare entries with Created are made.
	History []v1.History
	// Config edits the config, which is the parent's with History, layers,
	// platform and time already set; nil edits nothing.
	Config func(*v1.ConfigFile)
	// Created is the image's time.
	Created time.Time
	// Platform is os, architecture and variant; zero fields take the parent's.
	Platform v1.Platform
	// Annotations are those of the manifest; the parent's are not inherited.
	Annotations map[string]string
}

// Assemble returns the OCI image that spec describes. Its manifest and config
// follow from spec alone, byte for byte. Layers of a Docker parent keep their
// bytes and get OCI media types.
func Assemble(spec ImageSpec) (v1.Image, error) {
	img := &image{}
	base, err := img.parentConfig(spec.Parent)
	if err != nil {
		return nil, err
	}
	if err := img.addLayers(spec.Layers, base); err != nil {
		return nil, err
	}
	if err := addHistory(base, spec); err != nil {
		return nil, err
	}
	created := v1.Time{Time: spec.Created.UTC()}
	base.Created = created
	setPlatform(base, spec.Platform)
	if base.OS == "" || base.Architecture == "" {
		return nil, errors.New("assemble image: no platform: it needs os and architecture")
	}
	diffIDs := base.RootFS.DiffIDs
	if spec.Config != nil {
		spec.Config(base)
		base.RootFS = v1.RootFS{Type: "layers", DiffIDs: diffIDs}
	}
	return img, img.seal(base, maps.Clone(spec.Annotations))
}

// parentConfig takes over the parent's layers and returns a copy of its
// config, without what belongs to the parent's own making.
func (img *image) parentConfig(parent v1.Image) (*v1.ConfigFile, error) {
	base := &v1.ConfigFile{RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}}}
	if parent == nil {
		return base, nil
	}
	manifest, err := parent.Manifest()
	if err != nil {
		return nil, fmt.Errorf("assemble image: manifest of the parent: %w", err)
	}
	config, err := parent.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("assemble image: config of the parent: %w", err)
	}
	base = config.DeepCopy()
	if len(base.RootFS.DiffIDs) != len(manifest.Layers) {
		return nil, fmt.Errorf("assemble image: the parent has %d layers and %d diff ids",
			len(manifest.Layers), len(base.RootFS.DiffIDs))
	}
	for i, d := range manifest.Layers {
		mediaType, err := ociLayerType(d.MediaType)
		if err != nil {
			return nil, fmt.Errorf("assemble image: layer %d of the parent: %w", i, err)
		}
		d.MediaType = mediaType
		img.layers = append(img.layers, &parentLayer{image: parent, desc: d, diff: base.RootFS.DiffIDs[i]})
		img.manifest.Layers = append(img.manifest.Layers, d)
	}
	base.Container, base.Author = "", ""
	base.History = padHistory(base.History, len(manifest.Layers))
	return base, nil
}

// padHistory makes up entries for layers of which the history knows nothing.
func padHistory(history []v1.History, layers int) []v1.History {
	if countLayers(history) == layers {
		return history
	}
	return make([]v1.History, layers)
}

func countLayers(history []v1.History) int {
	n := 0
	for _, h := range history {
		if !h.EmptyLayer {
			n++
		}
	}
	return n
}

func (img *image) addLayers(ls []v1.Layer, base *v1.ConfigFile) error {
	for i, l := range ls {
		d, diff, err := describe(l)
		if err != nil {
			return fmt.Errorf("assemble image: layer %d: %w", i, err)
		}
		img.layers = append(img.layers, l)
		img.manifest.Layers = append(img.manifest.Layers, d)
		base.RootFS.DiffIDs = append(base.RootFS.DiffIDs, diff)
	}
	return nil
}

func describe(l v1.Layer) (d v1.Descriptor, diff v1.Hash, err error) {
	if d.Digest, err = l.Digest(); err != nil {
		return d, diff, err
	}
	if d.Size, err = l.Size(); err != nil {
		return d, diff, err
	}
	if d.MediaType, err = l.MediaType(); err != nil {
		return d, diff, err
	}
	if mt, err := ociLayerType(d.MediaType); err != nil || mt != d.MediaType {
		return d, diff, fmt.Errorf("media type %q is not that of an OCI layer", d.MediaType)
	}
	diff, err = l.DiffID()
	return d, diff, err
}

// ociLayerType maps the media types of layers to OCI's.
func ociLayerType(t types.MediaType) (types.MediaType, error) {
	switch t {
	case types.OCILayer, types.OCILayerZStd, types.OCIUncompressedLayer:
		return t, nil
	case types.DockerLayer:
		return types.OCILayer, nil
	case types.DockerUncompressedLayer:
		return types.OCIUncompressedLayer, nil
	}
	return "", fmt.Errorf("media type %q is not that of a layer that can be passed on", t)
}

func addHistory(base *v1.ConfigFile, spec ImageSpec) error {
	history := spec.History
	if len(history) == 0 {
		history = make([]v1.History, len(spec.Layers))
		for i := range history {
			history[i].Created = v1.Time{Time: spec.Created.UTC()}
		}
	}
	if n := countLayers(history); n != len(spec.Layers) {
		return fmt.Errorf("assemble image: history of %d layers for %d", n, len(spec.Layers))
	}
	base.History = append(base.History, history...)
	return nil
}

func setPlatform(base *v1.ConfigFile, p v1.Platform) {
	if p.OS != "" {
		base.OS = p.OS
	}
	if p.Architecture != "" {
		base.Architecture, base.Variant = p.Architecture, p.Variant
	}
	if p.OSVersion != "" {
		base.OSVersion = p.OSVersion
	}
	if len(p.OSFeatures) > 0 {
		base.OSFeatures = p.OSFeatures
	}
}
