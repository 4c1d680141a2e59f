package bake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/layers"
	"kiln/registry"
)

// Look looks into finished images of one registry, wherever that is.
type Look struct {
	registry registry.Reader
	records  *Records
	builder  *Builder // for what the cache and records know of layers
}

// NewLook returns a Look. Only records that are signed are asked: without one,
// or with none, layers are read, and what is in them is kept in the cache.
func NewLook(r registry.Reader, cache *Cache, records *Records) (*Look, error) {
	if records != nil && !records.Signed() {
		records = nil
	}
	b, err := NewBuilder(BuilderOptions{Cache: cache, Parents: r, Records: records})
	return &Look{registry: r, records: records, builder: b}, err
}

// View is a finished image, or an index of several.
type View struct {
	Name      string
	Digest    digest.Digest
	MediaType string
	Size      int64                // of the manifest, in bytes
	Images    []ocispec.Descriptor // of an index; nil for an image
	Manifest  ocispec.Manifest     // of an image, else empty; of both: its annotations
	Config    *v1.ConfigFile       // nil of an index
	Record    *StoredRecord        // nil if there is none that is signed

	image v1.Image
	look  *Look
}

// Open opens an image or an index.
func (l *Look) Open(ctx context.Context, name string, d digest.Digest) (*View, error) {
	desc, raw, err := l.registry.Manifest(ctx, name, d)
	if err != nil {
		return nil, fmt.Errorf("read %s@%s: %w", name, d, err)
	}
	parsed, err := registry.ParseManifest(desc.MediaType, raw)
	if err != nil {
		return nil, fmt.Errorf("read %s@%s: %w", name, d, err)
	}
	if len(parsed.Manifests) > 0 {
		v := &View{Name: name, Digest: d, MediaType: desc.MediaType, Size: int64(len(raw)), Images: parsed.Manifests, look: l}
		v.Manifest.Annotations = parsed.Annotations
		return v, nil
	}
	img, err := stored(ctx, l.registry, name, d)
	if err != nil {
		return nil, err
	}
	v, err := NewView(name, d, img.Image)
	if err != nil {
		return nil, err
	}
	v.look = l
	return v, v.recall(ctx)
}

// NewView is what an image says of itself.
func NewView(name string, d digest.Digest, img v1.Image) (*View, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	m, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	size, err := img.Size()
	if err != nil {
		return nil, err
	}
	if len(m.Layers) != len(config.RootFS.DiffIDs) {
		return nil, fmt.Errorf("%s@%s: it has %d layers, and its config knows of %d", name, d, len(m.Layers), len(config.RootFS.DiffIDs))
	}
	v := &View{Name: name, Digest: d, MediaType: string(m.MediaType), Size: size, Config: config, image: img}
	v.Manifest.Config, v.Manifest.Annotations = describeBlob(m.Config), m.Annotations
	for _, l := range m.Layers {
		v.Manifest.Layers = append(v.Manifest.Layers, describeBlob(l))
	}
	return v, nil
}

// recall finds the image's record, and what it tells of layers.
func (v *View) recall(ctx context.Context) error {
	if v.look.records == nil {
		return nil
	}
	rec, err := v.look.records.Of(ctx, v.Name, v.Digest)
	if err != nil && !errors.Is(err, ErrNoRecord) {
		return err
	}
	if rec != nil {
		v.Record = rec
		v.look.builder.learnLine(ctx, rec)
	}
	return nil
}

// Base is what the image says that it was baked on; "" and "" for nothing.
func (v *View) Base() (name string, d digest.Digest) {
	name, d = v.Manifest.Annotations[ocispec.AnnotationBaseImageName], digest.Digest(v.Manifest.Annotations[ocispec.AnnotationBaseImageDigest])
	if registry.CheckName(name) != nil || registry.CheckDigest(d) != nil {
		return "", ""
	}
	return name, d
}

// Line opens the parents, the nearest first, as far as the registry has them
// and they are images whose layers v begins with. missing is a parent that it
// does not have, or that is not below v.
func (v *View) Line(ctx context.Context) (line []*View, missing string, err error) {
	for range maxLineage {
		child := v
		if len(line) > 0 {
			child = line[len(line)-1]
		}
		name, d := child.Base()
		if d == "" {
			return line, "", nil
		}
		parent, err := v.look.Open(ctx, name, d)
		if isAbsent(err) {
			return line, name + "@" + string(d), nil
		}
		if err != nil {
			return nil, "", err
		}
		if parent.image == nil || !v.startsWith(parent) {
			return line, name + "@" + string(d), nil
		}
		line = append(line, parent)
	}
	return line, "", nil
}

func (v *View) startsWith(parent *View) bool {
	n := len(parent.Config.RootFS.DiffIDs)
	return n <= len(v.Config.RootFS.DiffIDs) && slices.Equal(v.Config.RootFS.DiffIDs[:n], parent.Config.RootFS.DiffIDs)
}

// Known is the path index of a layer where cache or record have it; false if
// the layer would have to be read.
func (v *View) Known(ctx context.Context, i int) (*layers.Index, bool) {
	return v.look.builder.knownIndex(ctx, v.Config.RootFS.DiffIDs[i])
}

// Index is the path index of a layer, which is read if it must be. A layer that
// is not what the config says is an error.
func (v *View) Index(ctx context.Context, i int) (*layers.Index, error) {
	diff := v.Config.RootFS.DiffIDs[i]
	if ix, ok := v.Known(ctx, i); ok {
		return ix, nil
	}
	l, err := v.Layer(i)
	if err != nil {
		return nil, err
	}
	content, err := l.Uncompressed()
	if err != nil {
		return nil, fmt.Errorf("read layer %d of %s: %w", i+1, v.Name, err)
	}
	defer content.Close()
	sum := sha256.New()
	ix, err := layers.IndexTar(ctx, io.TeeReader(content, sum))
	if err != nil {
		return nil, fmt.Errorf("read layer %d of %s: %w", i+1, v.Name, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != diff.Hex {
		return nil, fmt.Errorf("layer %d of %s@%s is sha256:%s unpacked, its config says %s", i+1, v.Name, v.Digest, got, diff)
	}
	return ix, v.look.builder.cache.save(ix, "index", indexEntry(diff))
}

// Layer is a layer as it lies in the registry.
func (v *View) Layer(i int) (v1.Layer, error) {
	all, err := v.image.Layers()
	if err != nil {
		return nil, err
	}
	return all[i], nil
}

// Image is the image itself; nil of an index.
func (v *View) Image() v1.Image { return v.image }

// Tree is the index of what a container of the image sees.
func (v *View) Tree(ctx context.Context) (*layers.Index, error) {
	tree := layers.NewIndex()
	for i := range v.Config.RootFS.DiffIDs {
		ix, err := v.Index(ctx, i)
		if err != nil {
			return nil, err
		}
		tree = tree.Merge(ix)
	}
	return tree, nil
}

// Steps says of each layer what made it, as the history of the config tells.
func (v *View) Steps() []string {
	steps := make([]string, len(v.Config.RootFS.DiffIDs))
	i := 0
	for _, h := range v.Config.History {
		if h.EmptyLayer || i == len(steps) {
			continue
		}
		steps[i] = h.CreatedBy
		i++
	}
	return steps
}
