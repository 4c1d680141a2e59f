package layers

import (
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// twoPlatforms are the same files for two architectures.
func twoPlatforms(t *testing.T) []v1.Image {
	t.Helper()
	var list []v1.Image
	for _, arch := range []string{"amd64", "arm64"} {
		layer, _ := build(t, Gzip, text("opt/app", arch))
		list = append(list, assemble(t, ImageSpec{Layers: []v1.Layer{layer}, Platform: v1.Platform{OS: "linux", Architecture: arch}}))
	}
	return list
}

func TestAssembleIndex(t *testing.T) {
	images := twoPlatforms(t)
	ix, err := AssembleIndex(images, map[string]string{"org.opencontainers.image.title": "sample"})
	must(t, err)
	if err := validate.Index(ix); err != nil {
		t.Error(err)
	}
	digest, err := ix.Digest()
	must(t, err)
	if want := "sha256:8a478b6bc742502541d406a5003180c4d96eb9c36fd88418a0e409fdc7557962"; digest.String() != want {
		t.Errorf("digest %s, want %s: indexes must not change over time", digest, want)
	}
	manifest, err := ix.IndexManifest()
	must(t, err)
	if p := manifest.Manifests[1].Platform; p.String() != "linux/arm64" {
		t.Errorf("the second image is for %s", p)
	}
	for name, list := range map[string][]v1.Image{"none": nil, "one platform twice": {images[0], images[0]}} {
		if _, err := AssembleIndex(list, nil); err == nil {
			t.Errorf("an index was made of %s", name)
		}
	}
}

func TestIndexOutputs(t *testing.T) {
	ix, err := AssembleIndex(twoPlatforms(t), nil)
	must(t, err)
	dir := t.TempDir()
	items := []Named{{Ref: "acme/shop:1", Index: ix}}
	must(t, WriteOCILayout(dir, items))
	written, err := layout.ImageIndexFromPath(dir)
	must(t, err)
	if err := validate.Index(written); err != nil {
		t.Error(err)
	}
	top, err := written.IndexManifest()
	must(t, err)
	if d, err := ix.Digest(); err != nil || len(top.Manifests) != 1 || top.Manifests[0].Digest != d {
		t.Errorf("the layout lists %+v, %v", top.Manifests, err)
	}
	err = WriteDockerArchive(filepath.Join(dir, "a.tar"), items)
	if err == nil || !strings.Contains(err.Error(), "oci:DIR") {
		t.Errorf("an index in a Docker archive: %v", err)
	}
}
