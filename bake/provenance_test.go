package bake

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	provenance "github.com/in-toto/attestation/go/predicates/provenance/v1"
	"github.com/opencontainers/go-digest"
	"google.golang.org/protobuf/encoding/protojson"

	"kiln/bake/template"
)

// The provenance of a bake says all that SLSA v1 has a place for: what was
// asked for, what kiln chose, each step, each input with its digest, who built
// and when, and what else came of it; of secrets the names alone.
func TestProvenanceSays(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	hex := strings.Repeat("a", 64)
	of := func(name, uri string) Input {
		return Input{Dependency: Dependency{Name: name, URI: uri, Digest: map[string]string{"sha256": hex}}}
	}
	p := &RegistryPublisher{
		Revision: Revision{Commit: strings.Repeat("c", 40), Origin: "https://example.com/shop.git"},
		Template: of("template", "kiln.hcl"), Lock: of("lock", "kiln.lock"),
		Variables: map[string]string{"version": "1"}, Secrets: []string{"token"},
		Kiln: "1.0", Invocation: "one", Started: at, Now: func() time.Time { return at.Add(time.Second) },
	}
	img := &Image{
		Name: "acme/shop", Digest: digest.FromString("image"), tag: "1-20260102T030405Z-cccccccccccc", noted: digest.FromString("record"),
		Recipe: &template.Image{FullName: "acme/shop", Tier: "app", Version: "1", Platforms: []string{"linux/amd64"}},
		Inputs: []Input{of("parent", "oci://acme/base@sha256:"+hex), of("", "pkg:deb/debian/a@1?arch=all"), of("index", "index:x"), of("go", "go:x"), {Dependency: Dependency{Name: "unknown"}}},
		Steps: []StepResult{
			{Step: "packages", Kind: PackagesStep, Digest: digest.FromString("layer")},
			{Step: "run make", Kind: RunStep, run: &template.Run{Network: "host"}},
			{Step: "run test", Kind: RunStep, run: &template.Run{}},
		},
	}
	raw, err := Provenance(p.build(img))
	if err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal(raw, new(provenance.Provenance)); err != nil {
		t.Errorf("no SLSA v1 provenance: %v", err)
	}
	var got struct {
		BuildDefinition struct {
			ExternalParameters   map[string]any
			InternalParameters   map[string]any
			ResolvedDependencies []Dependency
		}
		RunDetails struct {
			Builder    map[string]any
			Metadata   map[string]string
			Byproducts []Dependency
		}
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	def, run := got.BuildDefinition, got.RunDetails
	same := func(what string, have, want any) {
		t.Helper()
		if !reflect.DeepEqual(have, want) {
			t.Errorf("%s: %v\nwant %v", what, have, want)
		}
	}
	same("external parameters", def.ExternalParameters, map[string]any{
		"image": "acme/shop", "tier": "app", "version": "1", "template": "kiln.hcl", "platform": "linux/amd64",
		"variables": map[string]any{"version": "1"}, "secretVariables": []any{"token"}, "secretMounts": []any{},
	})
	same("steps", def.InternalParameters["steps"], []any{
		map[string]any{"name": "packages", "kind": "packages", "network": "none", "layer": string(digest.FromString("layer"))},
		map[string]any{"name": "run make", "kind": "run", "network": "host"},
		map[string]any{"name": "run test", "kind": "run", "network": "none"},
	})
	var names []string
	for _, d := range def.ResolvedDependencies {
		if len(d.Digest) == 0 {
			t.Errorf("dependency %+v has no digest", d)
		}
		names = append(names, d.Name+" "+d.URI)
	}
	same("dependencies", names, []string{
		"source git+https://example.com/shop.git", "template kiln.hcl", "lock kiln.lock", "parent oci://acme/base@sha256:" + hex,
		" pkg:deb/debian/a@1?arch=all", "index index:x", "go go:x", "recipe ",
	})
	same("builder", run.Builder, map[string]any{"id": BuilderID, "version": map[string]any{"kiln": "1.0"}})
	same("metadata", run.Metadata, map[string]string{"invocationId": "one", "startedOn": "2026-01-02T03:04:05Z", "finishedOn": "2026-01-02T03:04:06Z"})
	if len(run.Byproducts) != 1 || run.Byproducts[0].Digest["sha256"] != digest.FromString("record").Encoded() {
		t.Errorf("byproducts %+v", run.Byproducts)
	}
}
