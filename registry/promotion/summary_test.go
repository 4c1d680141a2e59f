package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	vsa "github.com/in-toto/attestation/go/predicates/vsa/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

// summaries are those of a version that a key signed.
func (w *world) summaries(d digest.Digest, by *sign.Signer) []summary {
	w.Helper()
	found, err := by.Verifier().Attestations(context.Background(), w.registry, shop, d, sign.SummaryPredicate)
	if err != nil && !errors.Is(err, sign.ErrUnsigned) && !errors.Is(err, sign.ErrInvalid) {
		w.Fatal(err)
	}
	list := make([]summary, len(found))
	for i, f := range found {
		lax := protojson.UnmarshalOptions{DiscardUnknown: true} // as consumers must be to extension fields
		if err := lax.Unmarshal(f.Predicate, new(vsa.VerificationSummary)); err != nil {
			w.Errorf("no VSA: %v: %s", err, f.Predicate)
		}
		if err := json.Unmarshal(f.Predicate, &list[i]); err != nil {
			w.Fatal(err)
		}
	}
	return list
}

// An allowed move, forth or back, is told as a verification summary that the
// promotion key signed; a denied one is not.
func TestSummary(t *testing.T) {
	w := newWorld(t)
	one, two := w.baked(shop, "one"), w.baked(shop, "two")
	p := w.to("dev", one)
	got := w.summaries(one, w.promote)
	if len(got) != 1 {
		t.Fatalf("%d summaries", len(got))
	}
	s := got[0]
	id, err := w.service.StoreID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.service.record(t.Context(), shop, p.Record)
	if err != nil {
		t.Fatal(err)
	}
	if s.Verifier.ID != "urn:kiln:store:"+id || s.VerificationResult != "PASSED" || !s.TimeVerified.Equal(r.At) ||
		s.ResourceURI != "oci://acme/shop@"+string(one) || s.Policy.Digest["sha256"] != r.Policy.Encoded() ||
		s.Promotion != (summarizedPromotion{p.Record, ActionPromote, "dev", p.Sequence}) ||
		len(s.VerifiedLevels) != 1 || s.VerifiedLevels[0] != "SLSA_BUILD_LEVEL_1" {
		t.Errorf("summary %+v", s)
	}
	for _, in := range s.InputAttestations {
		if _, _, err := w.registry.Manifest(t.Context(), shop, digest.NewDigestFromEncoded(digest.SHA256, in.Digest["sha256"])); err != nil {
			t.Errorf("input %+v: %v", in, err)
		}
	}
	if len(s.InputAttestations) < 3 {
		t.Errorf("inputs %+v", s.InputAttestations)
	}
	if n := len(w.summaries(one, w.bake)); n != 0 {
		t.Errorf("%d summaries by another key", n)
	}
	w.to("dev", two)
	if _, err := w.service.Rollback(t.Context(), RollbackRequest{Image: shop, Channel: "dev"}); err != nil {
		t.Fatal(err)
	}
	if got := w.summaries(one, w.promote); len(got) != 2 {
		t.Errorf("after a rollback %+v", got)
	}
	if _, err := w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: two, Channel: "prod"}); err == nil {
		t.Fatal("out of order")
	}
	if got := w.summaries(two, w.promote); len(got) != 1 {
		t.Errorf("after a denial %+v", got)
	}
}

// Who promotes with a key that the trust does not list what a channel holds
// already moves nothing, and signs nothing.
func TestNoSummaryByAStranger(t *testing.T) {
	w := newWorld(t)
	one := w.baked(shop, "one")
	w.to("dev", one)
	s := w.with(func(c *Config) { c.Signer = w.stranger })
	if p, err := s.Promote(t.Context(), PromoteRequest{Image: shop, Digest: one, Channel: "dev"}); err == nil && !p.Unchanged {
		t.Errorf("moved: %+v", p)
	}
	if n := len(w.summaries(one, w.stranger)); n != 0 {
		t.Errorf("%d summaries by a stranger", n)
	}
	if n := len(w.summaries(one, w.promote)); n != 1 {
		t.Errorf("%d summaries", n)
	}
}

// FAULTS 38: a promotion whose process died before it was summarized has its
// summary once the same is promoted again, and only one.
func TestSummaryMadeUpFor(t *testing.T) {
	w := newWorld(t)
	one := w.baked(shop, "one")
	w.to("dev", one)
	for desc, err := range w.registry.Referrers(t.Context(), shop, one, sign.BundleMediaType) {
		if err != nil {
			t.Fatal(err)
		}
		if desc.Annotations[predicateAnnotation] == sign.SummaryPredicate {
			if err := w.registry.DeleteManifest(t.Context(), shop, desc.Digest); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(w.summaries(one, w.promote)); n != 0 {
		t.Fatalf("%d summaries left", n)
	}
	for range 2 {
		if p := w.to("dev", one); !p.Unchanged {
			t.Errorf("moved: %+v", p)
		}
		if n := len(w.summaries(one, w.promote)); n != 1 {
			t.Errorf("%d summaries", n)
		}
	}
}
