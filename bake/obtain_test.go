package bake

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/bake/debian"
	"kiln/bake/template"
	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/store/filestore"
)

// obtaining is a builder whose archive is a folder.
type obtaining struct {
	*Builder
	mirror   string
	registry registry.Registry
	recipe   *template.Image
}

func newObtaining(t *testing.T) obtaining {
	t.Helper()
	cache, err := OpenCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	files, err := filestore.Open(t.Context(), t.TempDir(), filestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	reg := contentstore.New(files, files.Pointers(), contentstore.Options{})
	mirror := t.TempDir()
	b, err := NewBuilder(BuilderOptions{
		Cache: cache, Parents: reg, Lock: &template.Lock{Images: map[string]template.LockedImage{"other": {}}},
		Sources: func(*template.Image, template.LockedImage) ([]debian.Source, error) {
			return []debian.Source{{Mirror: mirror, Suite: "bookworm"}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	parent := &template.Image{Name: "base", FullName: "acme/base"}
	recipe := &template.Image{Name: "shop", FullName: "acme/shop", From: template.From{Kind: template.FromImage, Image: parent}}
	return obtaining{Builder: b, mirror: mirror, registry: reg, recipe: recipe}
}

// locked is a package whose .deb is its name.
func locked(name string) template.LockedPackage {
	sum := sha256.Sum256([]byte(name))
	return template.LockedPackage{
		Name: name, Version: "1", Arch: "all", Suite: "bookworm", Path: "pool/" + name + ".deb",
		Size: int64(len(name)), SHA256: hex.EncodeToString(sum[:]),
	}
}

func (o obtaining) inMirror(t *testing.T, name string) {
	t.Helper()
	if err := makeDirs(filepath.Join(o.mirror, "pool")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.mirror, "pool", name+".deb"), []byte(name), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (o obtaining) inStore(t *testing.T, image, name string) {
	t.Helper()
	desc := ocispec.Descriptor{MediaType: debMediaType, Digest: digest.FromString(name), Size: int64(len(name))}
	if err := o.registry.PushBlob(t.Context(), image, desc, bytes.NewReader([]byte(name))); err != nil {
		t.Fatal(err)
	}
}

func (o obtaining) image(names ...string) *Image {
	img := &Image{Name: o.recipe.FullName, Recipe: o.recipe}
	for _, name := range names {
		p := locked(name)
		img.Locked.Packages = append(img.Locked.Packages, p)
		img.Inputs = append(img.Inputs, Input{
			Dependency: Dependency{URI: name, Digest: map[string]string{"sha256": p.SHA256}}, Path: o.debs().Path(p.SHA256),
		})
	}
	return img
}

func TestObtain(t *testing.T) {
	o := newObtaining(t)
	o.inMirror(t, "archived")
	o.inStore(t, "acme/shop", "own")
	o.inStore(t, "acme/base", "inherited")
	o.inStore(t, "acme/other", "sibling")
	img := o.image("archived", "own", "inherited", "sibling")
	files, err := o.obtain(t.Context(), o.recipe, img.Locked, packagesOf(img.Locked))
	if err != nil || len(files) != 4 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, p := range img.Locked.Packages {
		if text, err := os.ReadFile(files[p.SHA256]); err != nil || string(text) != p.Name {
			t.Errorf("%s: %q, %v", p.Name, text, err)
		}
	}
}

func TestObtainSaysWhatToDo(t *testing.T) {
	o := newObtaining(t)
	gone := o.image("a1", "a2", "a3", "a4", "a5")
	_, err := o.obtain(t.Context(), o.recipe, gone.Locked, packagesOf(gone.Locked))
	for _, want := range []string{"the store has no copy", "a1 1, a2 1, a3 1 and 2 more", "kiln lock --update"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("gone: %v, want %q", err, want)
		}
	}
	o.inMirror(t, "b1")
	if err := os.WriteFile(filepath.Join(o.mirror, "pool", "b1.deb"), []byte("B1"), 0o644); err != nil {
		t.Fatal(err)
	}
	other := o.image("b1")
	_, err = o.obtain(t.Context(), o.recipe, other.Locked, packagesOf(other.Locked))
	for _, want := range []string{"hash sum mismatch", "neither cache nor store", "kiln lock --update"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("mismatch: %v, want %q", err, want)
		}
	}
}

// TestKeepInputsWithoutDebs stores the inputs of a layer that was cached when
// its .debs were not: they are fetched, and those that are gone are left out.
func TestKeepInputsWithoutDebs(t *testing.T) {
	o := newObtaining(t)
	o.inMirror(t, "archived")
	o.inMirror(t, "damaged")
	img := o.image("archived", "gone", "damaged")
	damaged := img.Inputs[2].Path
	if err := makeDirs(filepath.Dir(damaged)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged, []byte("DAMAGED"), 0o644); err != nil {
		t.Fatal(err)
	}
	img.Steps = []StepResult{{Step: "packages", Cached: true}}
	p := &RegistryPublisher{Registry: o.registry, KeepInputs: true}
	var warned string
	req := Request{Builder: o.Builder, Publisher: p, Warn: func(text string) { warned = text }}
	if err := gather(t.Context(), req, img); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(warned, "gone 1") {
		t.Errorf("warned %q", warned)
	}
	content := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + string(ocispec.DescriptorEmptyJSON.Digest) + `","size":2},"layers":[]}`)
	if err := p.pushBytes(t.Context(), img.Name, ocispec.DescriptorEmptyJSON, ocispec.DescriptorEmptyJSON.Data); err != nil {
		t.Fatal(err)
	}
	desc, err := o.registry.PushManifest(t.Context(), img.Name, registry.Manifest{MediaType: ocispec.MediaTypeImageManifest, Content: content})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.keepInputs(t.Context(), img, desc, nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"archived": true, "gone": false, "damaged": true} {
		_, err := o.registry.StatBlob(t.Context(), img.Name, digest.FromString(name))
		if (err == nil) != want {
			t.Errorf("%s: %v, want it kept: %v", name, err, want)
		}
	}
	if _, err := os.Stat(img.Inputs[1].Path); err == nil {
		t.Error("a package came from nowhere")
	}
}
