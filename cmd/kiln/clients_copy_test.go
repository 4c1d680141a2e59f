//go:build full

package main

import (
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func (s *served) testCrane() {
	for _, name := range []string{"acme/base", "acme/runtime", "acme/shop"} {
		s.ask("crane", "validate", "--remote", s.ref(name))
	}
	shop, image := s.image("acme/shop"), s.host+"/acme/shop"
	if got := s.ask("crane", "digest", image+":dev"); got != string(shop.Digest) {
		s.t.Errorf("dev is %s, want %s", got, shop.Digest)
	}
	tags := strings.Fields(s.ask("crane", "ls", image))
	if !slices.Contains(tags, "dev") || !slices.Contains(tags, shop.Tag) || !slices.IsSorted(tags) {
		s.t.Errorf("tags %q, want dev and %s in byte order", tags, shop.Tag)
	}
	if got := s.ask("crane", "catalog", s.host); got != "acme/base\nacme/runtime\nacme/shop" {
		s.t.Errorf("repositories %q", got)
	}
	s.ask("crane", "pull", "--format", "oci", image+":dev", s.path("pulled"))
	s.validLayout(s.path("pulled"), 1, validate.Fast)
	for _, channel := range []string{"dev", "prod"} { // prod is empty
		for _, cmd := range [][]string{{"copy", s.ref("acme/base"), image + ":" + channel}, {"tag", image + "@" + string(shop.Digest), channel}} {
			if out := s.refused(s.peer("crane", cmd...)); !strings.Contains(out, "DENIED") || !strings.Contains(out, "kiln promote") {
				s.t.Errorf("crane %v: %s", cmd, out)
			}
		}
	}
	s.refused(s.peer("crane", "copy", s.ref("acme/base"), image+":"+shop.Tag)) // write-once
	s.ask("crane", "push", s.path("pulled"), s.host+"/acme/copy:latest")
	if got := s.ask("crane", "digest", s.host+"/acme/copy:latest"); got != string(shop.Digest) {
		s.t.Errorf("pushed %s, want %s", got, shop.Digest)
	}
}

func (s *served) testSkopeo() {
	shop, dir := s.image("acme/shop"), s.path("skopeo")
	s.ask("skopeo", "copy", "--src-tls-verify=false", "docker://"+s.host+"/acme/shop:dev", "oci:"+dir+":shop")
	s.validLayout(dir, 1, validate.Fast)
	if got := s.ask("skopeo", "inspect", "--format", "{{.Digest}}", "oci:"+dir+":shop"); got != string(shop.Digest) {
		s.t.Errorf("digest %s, want %s", got, shop.Digest)
	}
	s.ask("skopeo", "copy", "--dest-tls-verify=false", "oci:"+dir+":shop", "docker://"+s.host+"/acme/skopeo:one")
	if out := s.ask("skopeo", "list-tags", "--tls-verify=false", "docker://"+s.host+"/acme/skopeo"); !strings.Contains(out, `"one"`) {
		s.t.Errorf("tags %s", out)
	}
}

// testOras copies the image with all that is attached to it.
func (s *served) testOras() {
	shop := s.image("acme/shop")
	s.ask("oras", "copy", "--from-plain-http", s.host+"/acme/shop:dev", "--to-oci-layout", s.path("oras")+":dev")
	if got := s.ask("oras", "resolve", "--oci-layout", s.path("oras")+":dev"); got != string(shop.Digest) {
		s.t.Errorf("digest %s, want %s", got, shop.Digest)
	}
	s.ask("oras", "copy", "-r", "--from-plain-http", "--to-plain-http", s.ref("acme/runtime"), s.host+"/acme/oras:one")
	want := s.ask("oras", "discover", "--plain-http", "--format", "json", s.ref("acme/runtime"))
	got := s.ask("oras", "discover", "--plain-http", "--format", "json", s.host+"/acme/oras:one")
	for _, kind := range []string{"application/vnd.dev.sigstore.bundle.v0.3+json", "application/vnd.kiln.inputs.v1+json"} {
		n := strings.Count(want, kind)
		if n == 0 || strings.Count(got, kind) != n {
			s.t.Errorf("%d referrers of type %s, want %d and some:\n%s", strings.Count(got, kind), kind, n, got)
		}
	}
}

func (s *served) testBuildah() {
	buildah := func(args ...string) string {
		s.t.Helper()
		return s.ask("buildah", append([]string{"--root", s.path("storage"), "--runroot", s.path("runroot")}, args...)...)
	}
	buildah("pull", "--tls-verify=false", s.host+"/acme/shop:dev")
	if got := buildah("images", "--digests", "--format", "{{.Digest}}"); got != string(s.image("acme/shop").Digest) {
		s.t.Errorf("digest %s, want %s", got, s.image("acme/shop").Digest)
	}
}
