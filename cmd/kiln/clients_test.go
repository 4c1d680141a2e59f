//go:build full

package main

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"

	"kiln/layers"
)

// TestClients holds a server against the programs that people will use with
// it: those of other projects, and kiln itself with --store http://….
func TestClients(t *testing.T) {
	s := newServed(t)
	for _, c := range []struct {
		name string
		test func(*served)
	}{
		{"digests", (*served).testDigests},
		{"cosign", (*served).testCosign},
		{"crane", (*served).testCrane},
		{"skopeo", (*served).testSkopeo},
		{"buildah", (*served).testBuildah},
		{"cosign signs", (*served).testCosignSigns},
		{"output", (*served).testOutput},
		{"copy", (*served).testCopyThere},
		{"curl", (*served).testCurl},
		{"guard", (*served).testGuard},
		{"channels", (*served).testChannels},
		{"second version", (*served).testSecondVersion},
		{"refusals", (*served).testRefusals},
		{"upkeep", (*served).testUpkeep},
		{"sigterm", (*served).testStop},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(s.in(t)) })
	}
}

// testDigests bakes into a folder what was baked through the server.
func (s *served) testDigests() {
	got, want := map[string]string{}, s.digests(s.run("bake", "shop", "--store", s.path("embedded"), "--json"))
	for _, img := range s.report.Images {
		got[img.Image] = string(img.Digest)
	}
	if len(got) != 3 || !maps.Equal(got, want) {
		s.t.Errorf("digests differ:\nserver   %v\nembedded %v", got, want)
	}
	for _, img := range s.bakeAgain().Images {
		if img.Built || img.Tag != s.image(img.Image).Tag {
			s.t.Errorf("without a change %s is built again: %+v", img.Image, img)
		}
	}
}

// bakeAgain bakes through the server.
func (s *served) bakeAgain(args ...string) bakeReport {
	s.t.Helper()
	var report bakeReport
	if err := json.Unmarshal(s.run(append([]string{"bake", "shop", "--json"}, args...)...), &report); err != nil {
		s.t.Fatal(err)
	}
	return report
}

// offline are the options with which cosign needs no network but the server.
var offline = []string{"--private-infrastructure", "--trusted-root", "root.json", "--allow-http-registry"}

func (s *served) testCosign() {
	s.keys("stranger")
	for _, name := range []string{"acme/base", "acme/runtime", "acme/shop"} {
		out := s.ask("cosign", append([]string{"verify", "--key", "bake.pub", s.ref(name)}, offline...)...)
		if !strings.Contains(out, string(s.image(name).Digest)) {
			s.t.Errorf("cosign verify %s prints %s", name, out)
		}
	}
	s.refused(s.peer("cosign", append([]string{"verify", "--key", "stranger.pub", s.ref("acme/shop")}, offline...)...))
	for _, kind := range []string{"spdxjson", "slsaprovenance1", "https://in-toto.io/attestation/test-result/v0.1"} {
		verify := append([]string{"verify-attestation", "--type", kind, s.ref("acme/shop")}, offline...)
		var envelope struct{ Payload []byte }
		out := s.ask("cosign", append(verify, "--key", "bake.pub")...)
		if err := json.Unmarshal([]byte(strings.SplitN(out, "\n", 2)[0]), &envelope); err != nil {
			s.t.Errorf("--type %s prints %s: %v", kind, out, err)
		}
		if want := s.image("acme/shop").Digest.Encoded(); !strings.Contains(string(envelope.Payload), want) {
			s.t.Errorf("--type %s: the statement is not about %s: %s", kind, want, envelope.Payload)
		}
		s.refused(s.peer("cosign", append(verify, "--key", "promote.pub")...))
	}
}

// testOutput exports what was baked, and reads it as others do.
func (s *served) testOutput() {
	dir := s.path("layout")
	s.run("bake", "shop", "--output", "oci:"+dir)
	s.validLayout(dir, 3)
	for _, img := range s.report.Images {
		ref := "oci:" + dir + ":" + img.Image + ":" + img.Tag
		if got := s.ask("skopeo", "inspect", "--format", "{{.Digest}}", ref); got != string(img.Digest) {
			s.t.Errorf("skopeo inspect %s: %s, want %s", ref, got, img.Digest)
		}
	}
	shop := s.image("acme/shop")
	s.run("bake", "shop", "--target", "shop", "--output", "oci:"+dir) // in place of what was there
	s.validLayout(dir, 1, validate.Fast)
	s.validImage(dir, shop.Digest)
	s.ask("buildah", "--root", s.path("storage"), "--runroot", s.path("runroot"), "pull", "oci:layout") // paths in lower case only
	s.run("bake", "shop", "--target", "shop", "--output", "docker-archive:"+s.path("shop.tar"))
	out := s.ask("skopeo", "inspect", "--config", "docker-archive:"+s.path("shop.tar")+":"+shop.Image+":"+shop.Tag)
	if !strings.Contains(out, `"10001"`) {
		s.t.Errorf("the config of the archive: %s", out)
	}
}

// validLayout validates an OCI layout with so many images: Fast leaves out what
// their layers hold.
func (s *served) validLayout(dir string, images int, opts ...validate.Option) {
	s.t.Helper()
	ix, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := validate.Index(ix, opts...); err != nil {
		s.t.Errorf("%s: %v", filepath.Base(dir), err)
	}
	m, err := ix.IndexManifest()
	if err != nil || len(m.Manifests) != images {
		s.t.Fatalf("%s: %+v, want %d images: %v", filepath.Base(dir), m, images, err)
	}
}

// validImage holds an image of an OCI layout against what layers promises.
func (s *served) validImage(dir string, d digest.Digest) {
	s.t.Helper()
	h, err := v1.NewHash(string(d))
	if err != nil {
		s.t.Fatal(err)
	}
	ix, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	img, err := ix.Image(h)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := layers.Validate(img); err != nil {
		s.t.Error(err)
	}
}
