//go:build full && peers

package main

import (
	"strings"
	"testing"
)

// TestPeers holds a server against programs that are too large, or too alike to
// others, to be built for every run of the tests. It is part of task peers.
func TestPeers(t *testing.T) {
	s := newServed(t)
	t.Run("oras", func(t *testing.T) { s.in(t).testOras() })
	t.Run("cosign 3", func(t *testing.T) { s.in(t).testCosign3() })
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

// testCosign3 verifies with cosign 3 what kiln signed, and signs and attests
// with it what kiln verifies.
func (s *served) testCosign3() {
	s.keys("stranger")
	s.ask("cosign3", "verify", "--key", "bake.pub", "--private-infrastructure", "--allow-http-registry", s.ref("acme/shop"))
	for _, kind := range []string{"spdxjson", "slsaprovenance1"} {
		s.ask("cosign3", "verify-attestation", "--key", "bake.pub", "--type", kind, "--private-infrastructure", "--allow-http-registry", s.ref("acme/shop"))
	}
	s.refused(s.peer("cosign3", "verify", "--key", "stranger.pub", "--private-infrastructure", "--allow-http-registry", s.ref("acme/shop")))
	s.keys("ci3")
	image := s.host + "/ci3/shop"
	s.ask("cosign3", "copy", "--allow-http-registry", s.ref("acme/shop"), image+":built")
	ref := image + "@" + string(s.image("acme/shop").Digest)
	sign := []string{"sign", "--key", "ci3.key", "--tlog-upload=false", "--use-signing-config=false", "--allow-http-registry", "--sign-container-identity", "ci3/shop", "--yes", ref}
	s.ask("cosign3", sign...)
	s.ask("cosign3", "verify", "--key", "ci3.pub", "--private-infrastructure", "--allow-http-registry", ref)
	// The bundles that cosign 3 writes name no image, so kiln takes them for none.
	if out := s.exits(exitUnverified, "verify", "ci3/shop:built", "--key", "ci3.pub"); !strings.Contains(out, "names no image") {
		s.t.Errorf("kiln verify: %s", out)
	}
	s.ask("cosign3", append(sign, "--new-bundle-format=false")...)
	s.run("verify", "ci3/shop:built", "--key", "ci3.pub")
	s.exits(exitUnverified, "verify", "ci3/shop:built", "--key", "promote.pub")
}
