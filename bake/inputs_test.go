package bake

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A file that was fetched for a version is kept with its rebase, too, whose machine
// never had it: the older version may go.
func TestRebaseKeepsFetchedFiles(t *testing.T) {
	w := newRecordWorld(t)
	recipe := project(t, map[string]string{"f": "x", "kiln.hcl": `project = "acme"
image "a" {
  copy {
    source = "f"
    target = "/f"
  }
}
`})
	const content = "fetched long ago"
	at := digest.FromString(content)
	desc := ocispec.Descriptor{MediaType: fileMediaType, Digest: at, Size: int64(len(content))}
	if err := w.registry.PushBlob(t.Context(), "acme/a", desc, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	gone := digest.FromString("template").Encoded()
	p := &RegistryPublisher{
		Registry: w.registry, Versions: w.registry, Revision: Revision{Dirty: true}, KeepInputs: true, Now: time.Now,
		Origin: &Origin{Dependencies: []Dependency{
			{Name: "template", URI: "kiln.hcl", Digest: map[string]string{"sha256": gone}},
			{Name: "source", Digest: map[string]string{"gitCommit": "0123"}},
			{Name: fetchName, URI: "https://example.com/data", Digest: map[string]string{"sha256": at.Encoded()}},
		}},
	}
	baked, err := Bake(t.Context(), Request{Recipe: recipe, Builder: w.builder(t, t.TempDir()), Publisher: p})
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for ref, err := range w.registry.Referrers(t.Context(), "acme/a", baked[0].Digest, InputsArtifact) {
		if err != nil {
			t.Fatal(err)
		}
		_, raw, err := w.registry.Manifest(t.Context(), "acme/a", ref.Digest)
		if err != nil {
			t.Fatal(err)
		}
		var m ocispec.Manifest
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		for _, l := range m.Layers {
			if l.MediaType == fileMediaType {
				kept = append(kept, l.Annotations[ocispec.AnnotationTitle]+" "+l.Digest.String())
			}
		}
	}
	if len(kept) != 1 || kept[0] != "https://example.com/data "+at.String() {
		t.Errorf("kept %q", kept)
	}
}
