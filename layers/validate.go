package layers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// Validate checks everything about an image that can be checked without a
// second source, reading every layer once: config and manifest agree with
// their digests (go-containerregistry's validate), media types are OCI's, the
// platform is set, layers, diff ids and history match in number, and each
// layer has its size, digest and diff id and is an archive that Extract would
// accept, without a path twice. Unlike validate.Image it reads zstd too.
func Validate(img v1.Image) error {
	if err := validate.Image(img, validate.Fast); err != nil {
		return fmt.Errorf("validate image: %w", err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	if err := validateShape(manifest, config); err != nil {
		return fmt.Errorf("validate image: %w", err)
	}
	ls, err := img.Layers()
	if err != nil {
		return err
	}
	for i, l := range ls {
		if err := validateContent(l, manifest.Layers[i], config.RootFS.DiffIDs[i]); err != nil {
			return fmt.Errorf("validate image: layer %d (%s): %w", i, manifest.Layers[i].Digest, err)
		}
	}
	return nil
}

func validateShape(m *v1.Manifest, c *v1.ConfigFile) error {
	switch {
	case m.MediaType != types.OCIManifestSchema1:
		return fmt.Errorf("media type %q is not that of an OCI manifest", m.MediaType)
	case m.Config.MediaType != types.OCIConfigJSON:
		return fmt.Errorf("media type %q is not that of an OCI config", m.Config.MediaType)
	case c.OS == "" || c.Architecture == "":
		return errors.New("the config names no platform")
	case len(m.Layers) != len(c.RootFS.DiffIDs):
		return fmt.Errorf("%d layers and %d diff ids", len(m.Layers), len(c.RootFS.DiffIDs))
	case len(c.History) > 0 && countLayers(c.History) != len(m.Layers):
		return fmt.Errorf("%d layers and a history of %d", len(m.Layers), countLayers(c.History))
	}
	for i, d := range m.Layers {
		if mt, err := ociLayerType(d.MediaType); err != nil || mt != d.MediaType {
			return fmt.Errorf("layer %d: media type %q is not that of an OCI layer", i, d.MediaType)
		}
	}
	return nil
}

// validateContent streams a layer once.
func validateContent(l v1.Layer, want v1.Descriptor, diff v1.Hash) error {
	r, err := l.Compressed()
	if err != nil {
		return err
	}
	defer r.Close()
	compressed, raw := newSum(), newSum()
	in := io.TeeReader(r, compressed)
	z, err := Decompress(in)
	if err != nil {
		return err
	}
	defer z.Close()
	if err := validateTar(io.TeeReader(z, raw)); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	switch {
	case compressed.n != want.Size:
		return fmt.Errorf("it has %d bytes instead of %d", compressed.n, want.Size)
	case compressed.hash() != want.Digest:
		return fmt.Errorf("its digest is %s", compressed.hash())
	case raw.hash() != diff:
		return fmt.Errorf("its diff id is %s instead of %s", raw.hash(), diff)
	}
	return nil
}

func validateTar(r io.Reader) error {
	archive := newArchiveReader(context.Background(), r, Limits{})
	seen := map[string]bool{}
	for {
		e, err := archive.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if p := strings.TrimSuffix(e.Path, "/"); seen[p] {
			return archiveErrorf(p, FaultConflict, "listed twice")
		} else {
			seen[p] = true
		}
		if _, err := io.Copy(io.Discard, archive); err != nil {
			return err
		}
	}
}
