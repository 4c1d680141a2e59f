package promotion

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/sign"
)

// tested stores a version with everything but a scan.
func (w *world) tested(content string) ocispec.Descriptor {
	w.Helper()
	if _, err := w.service.Admit(w.Context(), RoleBake, w.bake.PublicPEM(), shop, "", true); err != nil {
		w.Fatal(err)
	}
	desc := w.stored(shop, content)
	w.sign(w.bake, shop, desc)
	w.attest(w.bake, shop, desc, sign.ProvenancePredicate, provenanceOf(shop, "app"))
	w.attest(w.bake, shop, desc, sign.SPDXPredicate, sbomOf("openssl 3.0.11"))
	w.attest(w.bake, shop, desc, sign.TestPredicate, map[string]any{"result": "PASSED", "passedTests": []string{"healthy"}})
	w.clock.Add(time.Second)
	w.image(shop, content, w.clock.Now().Format("20060102T150405Z")+"-0123456789ab")
	return desc
}

// The default policy asks for a scan for secrets that a trusted key attested
// as passed; one of several is enough, and a scan is no test.
func TestPromoteNeedsAScan(t *testing.T) {
	w := newWorld(t)
	promote := func(d digest.Digest) error {
		_, err := w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: d, Channel: "dev"})
		return err
	}
	desc := w.tested("a")
	want(t, promote(desc.Digest), KindDenied, "no scan for secrets")
	w.attest(w.stranger, shop, desc, sign.TestPredicate, scanOf("PASSED"))
	want(t, promote(desc.Digest), KindDenied, "no scan for secrets")
	w.attest(w.bake, shop, desc, sign.TestPredicate, scanOf("FAILED"))
	want(t, promote(desc.Digest), KindDenied, "found secrets")
	w.attest(w.bake, shop, desc, sign.TestPredicate, scanOf("PASSED"))
	if err := promote(desc.Digest); err != nil {
		t.Fatal(err)
	}
}

func TestAScanIsNoTest(t *testing.T) {
	w := newWorld(t)
	if _, err := w.service.Admit(t.Context(), RoleBake, w.bake.PublicPEM(), shop, "", true); err != nil {
		t.Fatal(err)
	}
	desc := w.image(shop, "a")
	w.sign(w.bake, shop, desc)
	w.attest(w.bake, shop, desc, sign.ProvenancePredicate, provenanceOf(shop, "app"))
	w.attest(w.bake, shop, desc, sign.SPDXPredicate, sbomOf("openssl 3.0.11"))
	w.attest(w.bake, shop, desc, sign.TestPredicate, scanOf("PASSED"))
	_, err := w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: desc.Digest, Channel: "dev"})
	want(t, err, KindDenied, "no passed test")
}

// What a scan saw exposed reaches the policy.
func TestScanFacts(t *testing.T) {
	raw, err := json.Marshal(scanOf("PASSED"))
	if err != nil {
		t.Fatal(err)
	}
	var r testResult
	if err := json.Unmarshal(raw, &r); err != nil || !r.isScan() {
		t.Fatalf("%s is no scan: %v", raw, err)
	}
	got := r.scan()
	if !got.Passed || got.Rules != "0123" || !got.Root || !slices.Equal(got.Setuid, []string{"/usr/bin/su"}) {
		t.Errorf("facts %+v", got)
	}
}
