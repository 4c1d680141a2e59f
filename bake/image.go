package bake

import (
	"context"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"kiln/bake/template"
	"kiln/layers"
	"kiln/registry"
)

// Image is an image at one digest: built by this bake, or a parent that lies
// in a registry.
type Image struct {
	Name   string // project/name, or a repository
	Digest digest.Digest
	Image  v1.Image      // nil of several platforms
	Of     digest.Digest // of the index that it belongs to, "" for none

	// Of a version for several platforms:
	Index     v1.ImageIndex
	Platforms []*Image // by platform

	// Of images that this bake built:
	Recipe     *template.Image // nil for a parent from outside the template
	Parent     *Image          // nil for an image from nothing
	Steps      []StepResult
	Timestamp  time.Time // what "created" and clamped file times say
	Locked     template.LockedImage
	Components []Component // every Debian package in it, the parents' too
	Inputs     []Input     // what it was built from, for evidence
	Tests      TestReport
	TestsBy    string      // digest of the tests' definitions, hex
	Scan       *ScanReport // nil if nobody looked
	Host       string      // of the registry that a parent lies in, "" for the store

	tag    string // that it is being published under
	record func(context.Context) (*recorded, error)
	noted  digest.Digest // of the record that was stored with it
}

// StepKind says what a step's layer depends on.
type StepKind string

// The kinds of step.
const (
	ContentStep  StepKind = "content"  // files that do not depend on what lies below, but for where they land
	RunStep      StepKind = "run"      // a command that ran in what lies below
	PackagesStep StepKind = "packages" // packages installed on what lies below
)

// StepResult is one step of an image and the layer that it made.
type StepResult struct {
	Step   string        `json:"step"` // "packages", "copy app -> /srv", …
	Digest digest.Digest `json:"digest,omitempty"`
	Cached bool          `json:"cached"`
	// Platform is said where the version has several.
	Platform string   `json:"platform,omitempty"`
	Kind     StepKind `json:"kind,omitempty"`
	Reason   string   `json:"reason,omitempty"` // one sentence: why it was, or was not, found

	key   string        // of the cache
	run   *template.Run // definition, of a RunStep
	layer v1.Layer      // nil if the step changed nothing
	items []item        // of a ContentStep
	// declared is the definition of a step of accounts and permissions, which
	// are made from the content below.
	declared *template.Declare
	field    bool // follows from a field of the image, not from one of its steps
}

// Input is a file that a build read and that can be kept with the version.
type Input struct {
	Dependency
	Path string // local file, "" where only the digest is known
}

// TestReport says what ran.
type TestReport struct {
	Passed []string
	Cached bool
}

// stored opens an image of a registry as a v1.Image. Blobs are read only when
// somebody asks for them.
func stored(ctx context.Context, r registry.Reader, repo string, d digest.Digest) (*Image, error) {
	desc, raw, err := r.Manifest(ctx, repo, d)
	if err != nil {
		return nil, fmt.Errorf("read %s@%s: %w", repo, d, err)
	}
	if types.MediaType(desc.MediaType).IsIndex() {
		return nil, fmt.Errorf("%s@%s is an index of several platforms (name the digest of one of its images)", repo, d)
	}
	core := &storedImage{ctx: ctx, reader: r, repo: repo, manifest: raw, mediaType: types.MediaType(desc.MediaType)}
	img, err := partial.CompressedToImage(core)
	if err != nil {
		return nil, fmt.Errorf("read %s@%s: %w", repo, d, err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read config of %s@%s: %w", repo, d, err)
	}
	if img, err = core.withLayers(img); err != nil {
		return nil, fmt.Errorf("read %s@%s: %w", repo, d, err)
	}
	return &Image{Name: repo, Digest: d, Image: img, Timestamp: config.Created.Time.UTC()}, nil
}

// storedImage is go-containerregistry's CompressedImageCore over a registry.
// It lives as long as the bake whose context it reads with.
type storedImage struct {
	ctx       context.Context
	reader    registry.Reader
	repo      string
	manifest  []byte
	config    []byte
	mediaType types.MediaType
}

func (s *storedImage) MediaType() (types.MediaType, error) { return s.mediaType, nil }
func (s *storedImage) RawManifest() ([]byte, error)        { return s.manifest, nil }

func (s *storedImage) RawConfigFile() ([]byte, error) {
	if s.config != nil {
		return s.config, nil
	}
	m, err := partial.Manifest(s)
	if err != nil {
		return nil, err
	}
	rc, err := s.reader.OpenBlob(s.ctx, s.repo, digest.Digest(m.Config.Digest.String()), 0, -1)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	data, err := io.ReadAll(io.LimitReader(rc, registry.MaxManifestSize+1))
	if err != nil {
		return nil, err
	}
	if got := digest.FromBytes(data); got.String() != m.Config.Digest.String() {
		return nil, fmt.Errorf("config of %s is %s, its manifest says %s", s.repo, got, m.Config.Digest)
	}
	s.config = data
	return data, nil
}

// LayerByDigest implements partial.CompressedImageCore.
func (s *storedImage) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	return nil, fmt.Errorf("%s: layer %s is not read this way", s.repo, h)
}

// withLayers is a stored image whose layers say their diffIDs, which the
// configuration lists, without being read for them; whoever reads one has it
// checked.
type withLayers struct {
	v1.Image
	all []v1.Layer
}

func (s *storedImage) withLayers(img v1.Image) (v1.Image, error) {
	m, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	if len(m.Layers) != len(config.RootFS.DiffIDs) {
		return nil, fmt.Errorf("%d layers and %d diffIDs", len(m.Layers), len(config.RootFS.DiffIDs))
	}
	w := withLayers{Image: img}
	for i, desc := range m.Layers {
		w.all = append(w.all, &storeLayer{ctx: s.ctx, reader: s.reader, repo: s.repo,
			meta: layers.Meta{Desc: desc, Diff: config.RootFS.DiffIDs[i]}, spoilt: func() {}})
	}
	return w, nil
}

// Layers implements v1.Image.
func (w withLayers) Layers() ([]v1.Layer, error) { return w.all, nil }

// LayerByDigest implements v1.Image.
func (w withLayers) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	if config, err := w.ConfigName(); err == nil && config == h {
		return partial.ConfigLayer(w.Image)
	}
	return w.find(h, v1.Layer.Digest)
}

// LayerByDiffID implements v1.Image.
func (w withLayers) LayerByDiffID(h v1.Hash) (v1.Layer, error) { return w.find(h, v1.Layer.DiffID) }

func (w withLayers) find(want v1.Hash, name func(v1.Layer) (v1.Hash, error)) (v1.Layer, error) {
	for _, l := range w.all {
		if h, err := name(l); err == nil && h == want {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no layer %s", want)
}
