package registrytest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func testManifests(t *testing.T, r registry.Registry) {
	pushed := PushImage(t, r, repo, "layer", []string{"latest"})
	desc, content, err := r.Manifest(t.Context(), repo, pushed.Digest)
	if err != nil || desc.Digest != pushed.Digest || desc.Size != pushed.Size || desc.MediaType != pushed.MediaType {
		t.Fatalf("manifest: %v, %v, want %v", desc, err, pushed)
	}
	// The exact bytes count, however they are written.
	spaced := append(bytes.ReplaceAll(content, []byte(`,`), []byte(" ,\n\t")), '\n')
	for range 2 {
		desc, err = r.PushManifest(t.Context(), repo, registry.Manifest{MediaType: pushed.MediaType, Content: spaced, Digest: digest.FromBytes(spaced)})
		if err != nil {
			t.Fatal(err)
		}
	}
	if desc.Digest == pushed.Digest {
		t.Fatal("other bytes, same digest")
	}
	_, got, err := r.Manifest(t.Context(), repo, desc.Digest)
	if err != nil {
		t.Fatal(err)
	}
	mustEqual(t, got, spaced)
	wantTag(t, r, repo, "latest", pushed)

	err = pushErr(t.Context(), r, repo, registry.Manifest{MediaType: pushed.MediaType, Content: content, Digest: desc.Digest})
	want(t, err, registry.CodeDigestInvalid)
}

// testInvalidManifests: among them what parses as two media types (CVE-2021-41190).
func testInvalidManifests(t *testing.T, r registry.Registry) {
	image := PushImage(t, r, repo, "layer", nil)
	_, content, err := r.Manifest(t.Context(), repo, image.Digest)
	if err != nil {
		t.Fatal(err)
	}
	good := string(content)
	with := func(fields string) string { return "{" + fields + "," + good[1:] }
	without := func(field string) string { return strings.Replace(good, `"`+field+`"`, `"x-`+field+`"`, 1) }
	index := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, image.MediaType, image.Digest, image.Size)
	const dockerType = "application/vnd.docker.distribution.manifest.v2+json"
	for _, c := range []struct{ name, mediaType, content string }{
		{"no JSON", image.MediaType, "hello"},
		{"empty", image.MediaType, ""},
		{"array", image.MediaType, "[]"},
		{"truncated", image.MediaType, good[:len(good)-2]},
		{"followed by more", image.MediaType, good + "{}"},
		{"image and index", image.MediaType, with(`"manifests":[]`)},
		{"image and schema 1", image.MediaType, with(`"fsLayers":[]`)},
		{"index and image", ocispec.MediaTypeImageIndex, strings.Replace(index, "{", `{"layers":[],`, 1)},
		{"index with config", ocispec.MediaTypeImageIndex, strings.Replace(index, "{", `{"config":null,`, 1)},
		{"other media type inside", ocispec.MediaTypeImageIndex, good},
		{"docker outside, OCI inside", dockerType, good},
		{"index pushed as image", image.MediaType, index},
		{"layers twice", image.MediaType, with(`"layers":[]`)},
		{"layers in two spellings", image.MediaType, with(`"Layers":[]`)},
		{"layers with a long s", image.MediaType, with(`"layerſ":[]`)},
		{"unknown media type", "application/example", strings.Replace(good, image.MediaType, "application/example", 1)},
		{"schema version", image.MediaType, strings.Replace(good, `"schemaVersion":2`, `"schemaVersion":1`, 1)},
		{"no schema version", image.MediaType, without("schemaVersion")},
		{"no config", image.MediaType, without("config")},
		{"no layers", image.MediaType, without("layers")},
		{"digest that is a path", image.MediaType, strings.Replace(good, "sha256:", "sha256:../../", 1)},
		{"short digest", image.MediaType, strings.Replace(good, "sha256:", "sha256:x", 1)},
		{"negative size", image.MediaType, strings.Replace(good, `"size":`, `"size":-`, 1)},
		{"wrong size", image.MediaType, strings.Replace(good, `"size":`, `"size":1`, 1)},
		{"too large", image.MediaType, with(`"annotations":{"a":"` + strings.Repeat("x", registry.MaxManifestSize) + `"}`)},
	} {
		err := pushErr(t.Context(), r, repo, registry.Manifest{MediaType: c.mediaType, Content: []byte(c.content), Tags: []string{"bad"}})
		if registry.ErrorCode(err) != registry.CodeManifestInvalid {
			t.Errorf("%s: got %v, want %s", c.name, err, registry.CodeManifestInvalid)
		}
		if c.content != good {
			wantNoManifest(t, r, repo, digest.FromString(c.content))
		}
	}
	wantNoTag(t, r, repo, "bad")
	largest := with(`"annotations":{"a":"` + strings.Repeat("x", registry.MaxManifestSize-len(with(`"annotations":{"a":""}`))) + `"}`)
	if err := pushErr(t.Context(), r, repo, registry.Manifest{MediaType: image.MediaType, Content: []byte(largest)}); err != nil {
		t.Errorf("manifest of the largest size: %v", err)
	}
}

func testMissingReferences(t *testing.T, r registry.Registry) {
	elsewhere := PushImage(t, r, "acme/elsewhere", "layer", nil)
	_, content, err := r.Manifest(t.Context(), "acme/elsewhere", elsewhere.Digest)
	if err != nil {
		t.Fatal(err)
	}
	err = pushErr(t.Context(), r, repo, registry.Manifest{MediaType: elsewhere.MediaType, Content: content, Tags: []string{"x"}})
	want(t, err, registry.CodeManifestBlobUnknown)
	wantNoManifest(t, r, repo, elsewhere.Digest)
	wantNoTag(t, r, repo, "x")

	index := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, elsewhere.MediaType, elsewhere.Digest, elsewhere.Size)
	err = pushErr(t.Context(), r, repo, registry.Manifest{MediaType: ocispec.MediaTypeImageIndex, Content: []byte(index)})
	want(t, err, registry.CodeManifestBlobUnknown)

	// A subject may be missing, and so may a layer that is to be had elsewhere.
	PushImage(t, r, repo, "layer", nil, func(m *ocispec.Manifest) {
		m.Subject = &ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromString("later"), Size: 5}
		far := describe(ocispec.MediaTypeImageLayerGzip, "far")
		far.URLs = []string{"https://example.com/layer"}
		m.Layers = append(m.Layers, far)
	})
}

func testIndexes(t *testing.T, r registry.Registry) {
	a, b := PushImage(t, r, repo, "a", nil), PushImage(t, r, repo, "b", nil)
	inner := PushJSON(t, r, repo, ocispec.MediaTypeImageIndex, newIndex(a, b))
	outer := PushJSON(t, r, repo, ocispec.MediaTypeImageIndex, newIndex(inner, a), "multi")
	wantTag(t, r, repo, "multi", outer)
	const list, docker = "application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.docker.distribution.manifest.v2+json"
	d := PushImage(t, r, repo, "c", nil, func(m *ocispec.Manifest) { m.MediaType = docker })
	ix := newIndex(d)
	ix.MediaType = list
	wantTag(t, r, repo, "list", PushJSON(t, r, repo, list, ix, "list"))
}

func newIndex(children ...ocispec.Descriptor) ocispec.Index {
	return ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children}
}
