package sign

import (
	"context"
	"encoding/json"
	"io"
	"testing"

	"github.com/sigstore/sigstore/pkg/signature"
)

// countedKey counts how often signatures are checked with a key.
type countedKey struct {
	signature.Verifier
	checks *int
}

func (c countedKey) VerifySignature(sig, message io.Reader, opts ...signature.VerifyOption) error {
	*c.checks++
	return c.Verifier.VerifySignature(sig, message, opts...)
}

// What costs time in a verification is the arithmetic of a signature: one for
// each envelope or bundle that is good, however many keys are known beside the
// one that made it.
func TestOneCheckForEachSignature(t *testing.T) {
	ctx, s, img := context.Background(), testSigner(t), imageOf("one")
	var checks int
	v := &Verifier{}
	for range 20 {
		v.keys = append(v.keys, testSigner(t).public)
	}
	v.keys = append(v.keys, s.public)
	for i, key := range v.keys {
		v.keys[i].verifier = countedKey{key.verifier, &checks}
	}
	about := func(predicateType string) Statement {
		return Statement{Subject: Subject{Name: shop, Digest: img.Digest}, PredicateType: predicateType, Predicate: json.RawMessage(`{}`)}
	}
	envelope, err := s.SignStatement(ctx, about(ChannelPredicate))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.VerifyEnvelope(envelope, ChannelPredicate, img.Digest); err != nil || checks != 1 {
		t.Errorf("an envelope: %d checks, %v", checks, err)
	}
	for _, predicateType := range []string{SignaturePredicate, ProvenancePredicate} {
		checks = 0
		bundle, err := s.bundle(ctx, about(predicateType), maxPayload)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := v.VerifyBundle(bundle, shop, img.Digest, predicateType); err != nil || checks != 1 {
			t.Errorf("a bundle of %s: %d checks, %v", predicateType, checks, err)
		}
	}
}
