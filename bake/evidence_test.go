package bake

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	spdxjson "github.com/spdx/tools-golang/json"
)

func TestSBOM(t *testing.T) {
	d := digest.FromString("image")
	img := &Image{Components: []Component{
		{Name: "libstdc++6", Version: "12.2.0-14+deb12u1", Arch: "amd64", Distro: "bookworm", SHA256: strings.Repeat("a", 64)},
		{Name: "libstdc--6", Version: "1:1", Arch: "all", Source: "x (2)"},
	}}
	doc := SBOM("acme/shop", d, Epoch, img.Packages())
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	back, err := spdxjson.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(back.Packages) != 3 || len(back.Relationships) != 3 {
		t.Fatalf("%d packages, %d relationships", len(back.Packages), len(back.Relationships))
	}
	seen := map[string]bool{}
	for _, p := range back.Packages {
		if seen[string(p.PackageSPDXIdentifier)] {
			t.Errorf("identifier %s stands for two packages", p.PackageSPDXIdentifier)
		}
		seen[string(p.PackageSPDXIdentifier)] = true
	}
	if got := back.Packages[1].PackageExternalReferences[0].Locator; got != "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=bookworm" {
		t.Errorf("package URL %s", got)
	}
	again, err := json.Marshal(SBOM("acme/shop", d, Epoch, nil))
	if err != nil || !bytes.Contains(again, []byte(`"created":"1980-01-01T00:00:00Z"`)) {
		t.Errorf("%v %s", err, again)
	}
}

func TestProvenance(t *testing.T) {
	at := time.Date(2026, 11, 23, 1, 2, 3, 9, time.UTC)
	raw, err := Provenance(Build{
		External:     map[string]any{"image": "acme/shop", "tier": "app"},
		Internal:     map[string]any{"network": "none"},
		Dependencies: []Dependency{{Name: "parent", URI: "oci://acme/base", Digest: map[string]string{"sha256": strings.Repeat("b", 64)}}},
		Builder:      BuilderID, Kiln: "devel", Invocation: "i", Start: at, End: at.Add(time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		BuildDefinition struct {
			BuildType            string
			ExternalParameters   map[string]string
			ResolvedDependencies []Dependency
		}
		RunDetails struct {
			Builder  struct{ ID string }
			Metadata struct{ StartedOn string }
		}
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if got.BuildDefinition.ExternalParameters["image"] != "acme/shop" || got.BuildDefinition.BuildType != BuildType ||
		got.BuildDefinition.ResolvedDependencies[0].Name != "parent" || got.RunDetails.Builder.ID != BuilderID ||
		got.RunDetails.Metadata.StartedOn != "2026-11-23T01:02:03Z" {
		t.Errorf("%s", raw)
	}
	if _, err := Provenance(Build{}); err == nil {
		t.Error("a provenance without a builder was taken")
	}
}

func TestMergeEnv(t *testing.T) {
	got := mergeEnv([]string{"A=1", "PATH=/x"}, map[string]string{"B": "2", "A": "3"})
	if want := "A=3 PATH=/x B=2"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := mergeEnv(nil, nil); len(got) != 1 || got[0] != defaultPath {
		t.Errorf("%q", got)
	}
}
