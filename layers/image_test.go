package layers

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func assemble(t testing.TB, spec ImageSpec) v1.Image {
	t.Helper()
	if spec.Platform.OS == "" && spec.Parent == nil {
		spec.Platform = v1.Platform{OS: "linux", Architecture: "amd64"}
	}
	if spec.Created.IsZero() {
		spec.Created = Epoch()
	}
	img, err := Assemble(spec)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// sample is an image of two layers on a parent of one.
func sample(t testing.TB, comp Compression) v1.Image {
	t.Helper()
	bottom, _ := build(t, comp, folder("usr"), text("usr/a", "a"))
	parent := assemble(t, ImageSpec{Layers: []v1.Layer{bottom}})
	one, _ := build(t, comp, text("usr/b", "b"))
	two, _ := build(t, comp, Entry{Path: "usr/.wh.a", Type: '0'})
	return assemble(t, ImageSpec{
		Parent: parent,
		Layers: []v1.Layer{one, two},
		History: []v1.History{
			{CreatedBy: "copy", Created: v1.Time{Time: Epoch()}},
			{CreatedBy: "config", EmptyLayer: true},
			{CreatedBy: "run", Created: v1.Time{Time: Epoch()}},
		},
		Config: func(c *v1.ConfigFile) {
			c.Config.Entrypoint = []string{"/usr/b"}
			c.Config.Labels = map[string]string{"z": "1", "a": "2"}
			c.RootFS.DiffIDs = nil // not for the caller to change
		},
		Annotations: map[string]string{"org.opencontainers.image.title": "sample"},
	})
}

func TestAssemble(t *testing.T) {
	img := sample(t, Gzip)
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
	if err := Validate(img); err != nil {
		t.Error(err)
	}
	digest, err := img.Digest()
	must(t, err)
	if want := "sha256:fb23a01f0bb52c43184f7cf0a4a4e35a5f189680e22c9a644a0d0ede0fe93e9a"; digest.String() != want {
		t.Errorf("digest %s, want %s: manifests must not change over time", digest, want)
	}
	ix, err := IndexImage(context.Background(), img)
	if err != nil || strings.Join(ix.Paths(), " ") != "usr usr/b" {
		t.Errorf("image holds %v, %v", ix, err)
	}
	config, err := img.ConfigFile()
	must(t, err)
	if len(config.History) != 4 || config.Architecture != "amd64" || config.Config.Entrypoint[0] != "/usr/b" {
		t.Errorf("config %+v", config)
	}
	for _, l := range mustLayers(t, img) {
		d, _ := l.Digest()
		diff, _ := l.DiffID()
		a, errA := img.LayerByDigest(d)
		b, errB := img.LayerByDiffID(diff)
		if errA != nil || errB != nil || a != b {
			t.Errorf("layer %s: %v, %v", d, errA, errB)
		}
	}
	if err := Validate(sample(t, Zstd)); err != nil {
		t.Errorf("zstd: %v", err)
	}
}

func mustLayers(t testing.TB, img v1.Image) []v1.Layer {
	t.Helper()
	ls, err := img.Layers()
	must(t, err)
	return ls
}

// sealed is a parent whose layers must not be asked for.
type sealed struct {
	v1.Image
	t testing.TB
}

func (s sealed) Layers() ([]v1.Layer, error) {
	s.t.Error("the parent's layers were opened")
	return nil, nil
}
func (s sealed) LayerByDigest(v1.Hash) (v1.Layer, error) {
	s.t.Error("a layer of the parent was opened")
	return nil, errors.New("sealed")
}

func TestParentIsNotOpened(t *testing.T) {
	docker, err := random.Image(1000, 3)
	must(t, err)
	docker, err = mutate.ConfigFile(docker, func() *v1.ConfigFile {
		c, _ := docker.ConfigFile()
		c.OS, c.Architecture, c.Container = "linux", "arm64", "0123"
		c.History = nil
		return c
	}())
	must(t, err)
	top, _ := build(t, Gzip, text("a", "a"))
	child := assemble(t, ImageSpec{Parent: sealed{docker, t}, Layers: []v1.Layer{top}})
	m, err := child.Manifest()
	must(t, err)
	want, err := docker.Manifest()
	must(t, err)
	for i, l := range mustLayers(t, child)[:3] {
		mt, _ := l.MediaType()
		if m.Layers[i].Digest != want.Layers[i].Digest || m.Layers[i].MediaType != types.OCILayer || mt != types.OCILayer {
			t.Errorf("layer %d is %+v", i, m.Layers[i])
		}
	}
	// The same on the real parent is a valid image.
	whole := assemble(t, ImageSpec{Parent: docker, Layers: []v1.Layer{top}})
	if err := errors.Join(validate.Image(whole), Validate(whole)); err != nil {
		t.Error(err)
	}
	a, _ := child.Digest()
	if b, _ := whole.Digest(); a != b {
		t.Error("digests differ")
	}
	if c, _ := whole.ConfigFile(); c.Architecture != "arm64" || c.Container != "" || len(c.History) != 4 {
		t.Errorf("config %+v", c)
	}
}

func TestAssembleRefuses(t *testing.T) {
	l, _ := build(t, Gzip, text("a", "a"))
	docker, err := random.Layer(10, types.DockerLayer)
	must(t, err)
	linux := v1.Platform{OS: "linux", Architecture: "amd64"}
	for name, spec := range map[string]ImageSpec{
		"platform":   {Layers: []v1.Layer{l}},
		"history":    {Layers: []v1.Layer{l}, Platform: linux, History: []v1.History{{}, {}}},
		"media type": {Layers: []v1.Layer{docker}, Platform: linux},
	} {
		if _, err := Assemble(spec); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// lying serves other bytes than it says.
type lying struct{ v1.Layer }

func (lying) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("\x1f\x8bnoise")), nil
}

func TestValidateFinds(t *testing.T) {
	l, _ := build(t, Gzip, text("a", "a"))
	img := assemble(t, ImageSpec{Layers: []v1.Layer{lying{l}}})
	if err := Validate(img); err == nil {
		t.Error("a layer with other content passes")
	}
	docker, err := random.Image(10, 1)
	must(t, err)
	if err := Validate(docker); err == nil {
		t.Error("a Docker manifest passes")
	}
	twice := rawTar(t, reg("a"), reg("./a"))
	tl, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(twice))), nil },
		tarball.WithMediaType(types.OCILayer))
	must(t, err)
	if err := Validate(assemble(t, ImageSpec{Layers: []v1.Layer{tl}})); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a path that is there twice: %v", err)
	}
}

func TestOCILayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	img := sample(t, Gzip)
	other := assemble(t, ImageSpec{})
	must(t, WriteOCILayout(dir, []Named{{Ref: "example.com/other:1", Image: other}}))
	must(t, WriteOCILayout(dir, []Named{{Ref: "example.com/shop:1", Image: img, Annotations: map[string]string{"k": "v"}}}))
	index, err := layout.ImageIndexFromPath(dir)
	must(t, err)
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	m, err := index.IndexManifest()
	must(t, err)
	digest, _ := img.Digest()
	if len(m.Manifests) != 1 || m.Manifests[0].Digest != digest || m.Manifests[0].Annotations[refName] != "example.com/shop:1" ||
		m.Manifests[0].Platform.Architecture != "amd64" || m.Manifests[0].Annotations["k"] != "v" {
		t.Errorf("index %+v", m)
	}
	blobs, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	must(t, err)
	if len(blobs) != 5 {
		t.Errorf("%d blobs, want a manifest, a config and 3 layers", len(blobs))
	}
	// A damaged blob is written again.
	h := mustLayers(t, img)[0]
	d, _ := h.Digest()
	must(t, os.WriteFile(filepath.Join(dir, "blobs", "sha256", d.Hex), []byte("damaged"), 0o644))
	must(t, WriteOCILayout(dir, []Named{{Ref: "example.com/shop:1", Image: img}}))
	if index, err = layout.ImageIndexFromPath(dir); err != nil || validate.Index(index) != nil {
		t.Errorf("after damage: %v, %v", err, validate.Index(index))
	}
}

func TestOCILayoutRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "precious", "x")
	img := sample(t, Gzip)
	if err := WriteOCILayout(dir, []Named{{Image: img}}); err == nil || !strings.Contains(err.Error(), "neither empty nor") {
		t.Errorf("error %v", err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Error("something was written")
	}
	l, _ := build(t, Gzip, text("a", "a"))
	bad := assemble(t, ImageSpec{Layers: []v1.Layer{lying{l}}})
	good := filepath.Join(t.TempDir(), "out")
	must(t, WriteOCILayout(good, []Named{{Ref: "a", Image: img}}))
	if err := WriteOCILayout(good, []Named{{Ref: "b", Image: bad}}); err == nil {
		t.Error("a layer with other content was written")
	}
	index, err := layout.ImageIndexFromPath(good)
	if err != nil || validate.Index(index) != nil {
		t.Errorf("the layout is damaged by a failed write: %v", err)
	}
}

func TestDockerArchive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image.tar")
	img := sample(t, Gzip)
	must(t, WriteDockerArchive(file, []Named{{Ref: "example.com/shop:1", Image: img}, {Image: assemble(t, ImageSpec{})}}))
	first, err := os.ReadFile(file)
	must(t, err)
	must(t, WriteDockerArchive(file, []Named{{Ref: "example.com/shop:1", Image: img}, {Image: assemble(t, ImageSpec{})}}))
	if second, _ := os.ReadFile(file); string(first) != string(second) {
		t.Error("two writes differ")
	}
	m, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(file) })
	must(t, err)
	if len(m) != 2 || m[0].RepoTags[0] != "example.com/shop:1" || len(m[1].RepoTags) != 0 {
		t.Errorf("manifest %+v", m)
	}
	single := filepath.Join(t.TempDir(), "single.tar")
	must(t, WriteDockerArchive(single, []Named{{Ref: "example.com/shop:1", Image: img}}))
	back, err := tarball.ImageFromPath(single, nil)
	must(t, err)
	if err := validate.Image(back); err != nil {
		t.Error(err)
	}
	a, _ := img.ConfigName()
	if b, _ := back.ConfigName(); a != b {
		t.Error("another image comes back")
	}
	if err := WriteDockerArchive(single, []Named{{Ref: "UPPER CASE", Image: img}}); err == nil {
		t.Error("a bad name was accepted")
	}
}

func TestEmptyImage(t *testing.T) {
	img := assemble(t, ImageSpec{})
	if err := errors.Join(validate.Image(img), Validate(img)); err != nil {
		t.Error(err)
	}
}
