//go:build full

package main

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"
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
	s.ask("crane", "push", s.path("pulled"), s.host+"/acme/push:latest")
	s.ask("crane", "copy", s.host+"/acme/push:latest", s.host+"/acme/copy:latest")
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
	s.ask("skopeo", "copy", "--dest-tls-verify=false", "--format", "v2s2", "oci:"+dir+":shop", "docker://"+s.host+"/acme/skopeo:docker")
	s.ask("skopeo", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://"+s.host+"/acme/skopeo:docker", "docker://"+s.host+"/acme/skopeo2:docker")
	if out := s.ask("skopeo", "list-tags", "--tls-verify=false", "docker://"+s.host+"/acme/skopeo"); !strings.Contains(out, `"one"`) || !strings.Contains(out, `"docker"`) {
		s.t.Errorf("tags %s", out)
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
	for _, format := range []string{"oci", "v2s2"} {
		buildah("push", "--tls-verify=false", "--format", format, s.host+"/acme/shop:dev", "docker://"+s.host+"/acme/buildah:"+format)
		buildah("pull", "--tls-verify=false", s.host+"/acme/buildah:"+format)
	}
}

// testCopyThere copies with kiln to a registry of another project, where cosign
// finds signatures and attestations, and back.
func (s *served) testCopyThere() {
	other := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true)))
	defer other.Close()
	there := strings.TrimPrefix(other.URL, "http://") + "/acme/shop"
	shop := s.image("acme/shop")
	s.run("copy", "acme/shop:dev", there+":released")
	if got := s.ask("crane", "ls", there); !strings.Contains(got, "released") || !strings.Contains(got, shop.Tag) {
		s.t.Errorf("tags %q", got)
	}
	ref := there + "@" + string(shop.Digest)
	s.ask("cosign", append([]string{"verify", "--key", "bake.pub", ref}, offline...)...)
	for _, kind := range []string{"spdxjson", "slsaprovenance1"} {
		s.ask("cosign", append([]string{"verify-attestation", "--key", "bake.pub", "--type", kind, ref}, offline...)...)
	}
	s.must(s.command([]string{"KILN_STORE=" + s.path("mirror")}, "copy", there+":released", "acme/shop"))
	s.must(s.command([]string{"KILN_STORE=" + s.path("mirror")}, "verify", "acme/shop:released", "--key", "bake.pub"))
}

// testCosignSigns pushes, copies, signs and attests with cosign; kiln verifies.
func (s *served) testCosignSigns() {
	s.keys("ci")
	image := s.host + "/ci/shop"
	s.ask("crane", "copy", s.ref("acme/shop"), image+":built")
	ref := image + "@" + string(s.image("acme/shop").Digest)
	s.ask("cosign", "sign", "--key", "ci.key", "--tlog-upload=false", "--allow-http-registry", "--sign-container-identity", "ci/shop", "--yes", ref)
	s.write("predicate.json", `{"spdxVersion":"SPDX-2.3"}`)
	s.ask("cosign", "attest", "--key", "ci.key", "--tlog-upload=false", "--allow-http-registry", "--type", "spdxjson", "--predicate", "predicate.json", "--yes", ref)
	s.ask("cosign", append([]string{"verify", "--key", "ci.pub", ref}, offline...)...)
	s.ask("cosign", append([]string{"verify-attestation", "--key", "ci.pub", "--type", "spdxjson", ref}, offline...)...)
	s.run("verify", "ci/shop:built", "--key", "ci.pub")
	s.exits(exitUnverified, "verify", "ci/shop:built", "--key", "bake.pub")
	s.ask("cosign", "copy", "--allow-http-registry", ref, s.host+"/mirror/shop:one")
	s.ask("cosign", append([]string{"verify", "--key", "ci.pub", s.host + "/mirror/shop:one"}, offline...)...)
	if out := s.ask("cosign", "tree", "--allow-http-registry", ref); !strings.Contains(out, "Signatures") {
		s.t.Errorf("cosign tree: %s", out)
	}
}

// write writes a file of the world.
func (s *served) write(name, content string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
}
