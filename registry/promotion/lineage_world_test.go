package promotion

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"kiln/registry"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// line names a parent in a provenance: "acme/base@sha256:…", with a host in
// front for one from elsewhere.
type line struct{ name, ref string }

func parent(image string, d digest.Digest) line { return line{parentName, image + "@" + string(d)} }

func (l line) dependency() map[string]any {
	_, hex, _ := strings.Cut(l.ref, "@sha256:")
	return map[string]any{"name": l.name, "uri": "oci://" + l.ref, "digest": map[string]string{"sha256": hex}}
}

// provenanceOn is a provenance that names parents.
func provenanceOn(image string, parents ...line) map[string]any {
	p := provenanceOf(image, "app")
	build := maps.Clone(p["buildDefinition"].(map[string]any))
	var deps []any
	for _, l := range parents {
		deps = append(deps, l.dependency())
	}
	build["resolvedDependencies"] = deps
	p["buildDefinition"] = build
	return p
}

// bakedOn stores a version whose signed provenance names its parents, and whose
// manifest names the first of them.
func (w *world) bakedOn(image, content string, parents ...line) digest.Digest {
	w.Helper()
	if _, err := w.service.Admit(w.Context(), RoleBake, w.bake.PublicPEM(), image, "", true); err != nil {
		w.Fatal(err)
	}
	if len(parents) > 0 {
		ref, err := registry.ParseReference(parents[0].ref)
		if err != nil {
			w.Fatal(err)
		}
		w.base, w.baseName = ref.Digest, ref.Name
		defer func() { w.base, w.baseName = "", "" }()
	}
	desc := w.stored(image, content)
	w.sign(w.bake, image, desc)
	w.attest(w.bake, image, desc, sign.ProvenancePredicate, provenanceOn(image, parents...))
	w.clock.Add(time.Second)
	return w.image(image, content, w.clock.Now().Format("20060102T150405Z")+"-0123456789ab").Digest
}

// index stores a version that is an index of images, with provenance.
func (w *world) index(image string, parents []line, platforms ...digest.Digest) digest.Digest {
	w.Helper()
	m := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for i, d := range platforms {
		desc, _, err := w.registry.Manifest(w.Context(), image, d)
		if err != nil {
			w.Fatal(err)
		}
		m.Manifests = append(m.Manifests, ocispec.Descriptor{
			MediaType: desc.MediaType, Digest: d, Size: desc.Size,
			Platform: &ocispec.Platform{OS: "linux", Architecture: []string{"amd64", "arm64"}[i]},
		})
	}
	content, err := json.Marshal(m)
	if err != nil {
		w.Fatal(err)
	}
	w.clock.Add(time.Second)
	desc, err := w.registry.PushManifest(w.Context(), image, registry.Manifest{
		MediaType: ocispec.MediaTypeImageIndex, Content: content, Tags: []string{w.clock.Now().Format("20060102T150405Z") + "-0123456789ab"},
	})
	if err != nil {
		w.Fatal(err)
	}
	w.sign(w.bake, image, desc)
	w.attest(w.bake, image, desc, sign.ProvenancePredicate, provenanceOn(image, parents...))
	return desc.Digest
}

// revokeOf revokes and fails the test if that is refused.
func (w *world) revokeOf(req RevokeRequest) Revocation {
	w.Helper()
	if req.Reason == "" {
		req.Reason = "it leaks"
	}
	r, err := w.service.Revoke(w.Context(), req)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// resolved is what a channel of an image answers.
func (w *world) resolved(image, channel string) (Resolution, error) {
	return w.service.Resolve(w.Context(), ResolveRequest{Image: image, Channel: channel})
}

// promoted promotes any image and fails the test if that is refused.
func (w *world) promoted(image, channel string, d digest.Digest) {
	w.Helper()
	if _, err := w.service.Promote(w.Context(), PromoteRequest{Image: image, Digest: d, Channel: channel}); err != nil {
		w.Fatal(err)
	}
}

func openWorld(t testing.TB) *world {
	w := newWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	return w
}
