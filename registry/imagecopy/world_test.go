package imagecopy_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/imagecopy"
	"kiln/registry/ociclient"
	"kiln/registry/ocilayout"
	"kiln/registry/ociserver"
	"kiln/registry/registrytest"
	"kiln/registry/store/filestore"

	foreign "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	from = "acme/shop"
	to   = "mirror/acme/shop"
)

// place is a registry that is copied from and to.
type place interface {
	imagecopy.Source
	imagecopy.Destination
}

// places are the registries of the tests, empty ones.
var places = map[string]func(t *testing.T) place{
	"store":           func(t *testing.T) place { return newContent(t) },
	"server":          newServer,
	"layout":          newLayout,
	"other":           func(t *testing.T) place { return newOther(t, true) },
	"other, old spec": func(t *testing.T) place { return newOther(t, false) },
}

func newContent(t *testing.T) *contentstore.Registry {
	t.Helper()
	s, err := filestore.Open(t.Context(), t.TempDir(), filestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	return contentstore.New(s, s.Pointers(), contentstore.Options{})
}

func newServer(t *testing.T) place {
	s := httptest.NewServer(ociserver.New(newContent(t), ociserver.Options{MaxPage: 2}))
	t.Cleanup(s.Close)
	return newClient(t, s.URL)
}

// newOther is a registry of another project, with or without referrers.
func newOther(t *testing.T, referrers bool) place {
	s := httptest.NewServer(foreign.New(foreign.Logger(log.New(io.Discard, "", 0)), foreign.WithReferrersSupport(referrers)))
	t.Cleanup(s.Close)
	return newClient(t, s.URL)
}

func newClient(t *testing.T, endpoint string) place {
	t.Helper()
	c, err := ociclient.New(endpoint, ociclient.Options{RetryWait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newLayout(t *testing.T) place {
	t.Helper()
	l, err := ocilayout.Create(filepath.Join(t.TempDir(), "layout"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// release is an index of two images that share a layer and have a foreign one,
// with what people attach: a signature, an SBOM and its signature, and cosign's
// tags, on the index and on a child.
type release struct {
	index, child, nested ocispec.Descriptor
	manifests            []ocispec.Descriptor
	referrers            map[digest.Digest][]digest.Digest
	tags                 map[string]digest.Digest
	blobs                int // without the foreign one
}

func newRelease(t *testing.T, r registrytest.Pusher) *release {
	t.Helper()
	rel := &release{referrers: map[digest.Digest][]digest.Digest{}, tags: map[string]digest.Digest{}, blobs: 2} // config, shared layer
	image := func(content string) ocispec.Descriptor {
		rel.blobs++
		return registrytest.PushImage(t, r, from, content, nil, func(m *ocispec.Manifest) {
			far := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString("far"), Size: 3, URLs: []string{"https://example.com/far"}}
			m.Layers = append(m.Layers, registrytest.PushBlob(t, r, from, ocispec.MediaTypeImageLayerGzip, strings.Repeat("shared ", 10_000)), far)
		})
	}
	rel.child = image("amd64")
	rel.nested = newIndex(t, r, image("arm64"), rel.child)
	rel.index = newIndex(t, r, rel.child, rel.nested)
	rel.manifests = []ocispec.Descriptor{rel.child, rel.nested, rel.index}
	rel.attach(t, r, rel.index, "signature")
	sbom := rel.attach(t, r, rel.index, "sbom")
	rel.attach(t, r, sbom, "signature of the sbom")
	rel.attach(t, r, rel.child, "provenance")
	rel.tag(t, r, rel.index, ".sig")
	rel.tag(t, r, rel.child, ".att")
	return rel
}

func newIndex(t *testing.T, r registrytest.Pusher, children ...ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children}
	return registrytest.PushJSON(t, r, from, index.MediaType, index)
}

func (rel *release) attach(t *testing.T, r registrytest.Pusher, subject ocispec.Descriptor, content string) ocispec.Descriptor {
	t.Helper()
	d := registrytest.PushImage(t, r, from, content, nil, func(m *ocispec.Manifest) {
		m.Subject, m.ArtifactType = &subject, "application/x-"+strings.ReplaceAll(content, " ", "-")
	})
	rel.blobs++
	rel.manifests = append(rel.manifests, d)
	rel.referrers[subject.Digest] = append(rel.referrers[subject.Digest], d.Digest)
	return d
}

func cosignTag(d digest.Digest, suffix string) string {
	return strings.Replace(d.String(), ":", "-", 1) + suffix
}

func (rel *release) tag(t *testing.T, r registrytest.Pusher, subject ocispec.Descriptor, suffix string) {
	t.Helper()
	tag := cosignTag(subject.Digest, suffix)
	d := registrytest.PushImage(t, r, from, tag, []string{tag})
	rel.blobs++
	rel.manifests = append(rel.manifests, d)
	rel.tags[tag] = d.Digest
}

// check wants all of the release at the destination.
func (rel *release) check(t *testing.T, src imagecopy.Source, dst place, repo string) {
	t.Helper()
	for _, m := range rel.manifests {
		_, want, err := src.Manifest(t.Context(), from, m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		desc, got, err := dst.Manifest(t.Context(), repo, m.Digest)
		if err != nil || !bytes.Equal(got, want) || desc.MediaType != m.MediaType {
			t.Errorf("manifest %s: %v, %v", m.Digest, desc, err)
			continue
		}
		checkBlobs(t, dst, repo, m.MediaType, got)
	}
	for subject, want := range rel.referrers {
		if got := referrersOf(t, dst, repo, subject); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("referrers of %s: %v, want %v", subject, got, want)
		}
	}
	for tag, want := range rel.tags {
		if got, err := dst.Tag(t.Context(), repo, tag); err != nil || got.Digest != want {
			t.Errorf("tag %s: %v, %v, want %s", tag, got, err, want)
		}
	}
}

func referrersOf(t *testing.T, r registry.Lister, repo string, subject digest.Digest) []digest.Digest {
	t.Helper()
	var list []digest.Digest
	for desc, err := range r.Referrers(t.Context(), repo, subject, "") {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, desc.Digest)
	}
	slices.Sort(list)
	return list
}

func checkBlobs(t *testing.T, r registry.Reader, repo, mediaType string, manifest []byte) {
	t.Helper()
	p, err := registry.ParseManifest(mediaType, manifest)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range p.Blobs {
		if registry.IsForeign(b) {
			continue
		}
		rc, err := r.OpenBlob(t.Context(), repo, b.Digest, 0, -1)
		if err != nil {
			t.Errorf("blob %s: %v", b.Digest, err)
			continue
		}
		n, err := io.Copy(io.Discard, rc) // hashed on the way
		rc.Close()
		if err != nil || n != b.Size {
			t.Errorf("blob %s: %d bytes, %v", b.Digest, n, err)
		}
	}
}

// signers tells whose signatures are under a tag.
func signers(t *testing.T, r registry.Reader, tag string) string {
	t.Helper()
	desc, err := r.Tag(t.Context(), to, tag)
	if err != nil {
		t.Fatal(err)
	}
	_, content, err := r.Manifest(t.Context(), to, desc.Digest)
	if err != nil {
		t.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, layer := range m.Layers {
		names = append(names, layer.Annotations["signature"])
	}
	return strings.Join(names, " ")
}
