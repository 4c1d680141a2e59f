package sign

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
)

func TestSignImageInBothLayouts(t *testing.T) {
	ctx, ev, s, img := context.Background(), newMemory(), testSigner(t), imageOf("one")
	for range 2 { // the second time adds nothing
		if err := s.SignImage(ctx, ev, shop, img); err != nil {
			t.Fatal(err)
		}
	}
	got, err := verifierOf(t, testSigner(t), s).VerifyImage(ctx, ev, shop, img.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Layout != LayoutTag || got[1].Layout != LayoutBundle {
		t.Fatalf("got %+v, want one signature in each layout", got)
	}
	for _, sig := range got {
		if sig.KeyID != s.KeyID() {
			t.Errorf("%s: key %s, want %s", sig.Layout, sig.KeyID, s.KeyID())
		}
	}
	if n := len(ev.refs[at(shop, img.Digest.String())]); n != 2 {
		t.Errorf("%d referrers, want the bundle and the signature manifest", n)
	}
}

func TestUnsignedIsNotInvalid(t *testing.T) {
	ctx, ev, s, img := context.Background(), newMemory(), testSigner(t), imageOf("one")
	v := verifierOf(t, s)
	if _, err := v.VerifyImage(ctx, ev, shop, img.Digest); !errors.Is(err, ErrUnsigned) || errors.Is(err, ErrInvalid) {
		t.Errorf("nothing there: %v", err)
	}
	if _, err := v.Attestations(ctx, ev, shop, img.Digest, SPDXPredicate); !errors.Is(err, ErrUnsigned) {
		t.Errorf("no attestation: %v", err)
	}
	if err := testSigner(t).SignImage(ctx, ev, shop, img); err != nil {
		t.Fatal(err)
	}
	if _, err := v.VerifyImage(ctx, ev, shop, img.Digest); !errors.Is(err, ErrInvalid) || errors.Is(err, ErrUnsigned) {
		t.Errorf("signed by a stranger: %v", err)
	}
}

func TestUnreadableEvidenceIsNeitherUnsignedNorInvalid(t *testing.T) {
	ctx, ev, s, img := context.Background(), newMemory(), testSigner(t), imageOf("one")
	if err := s.SignImage(ctx, ev, shop, img); err != nil {
		t.Fatal(err)
	}
	ev.fail = errors.New("disk on fire")
	_, err := s.Verifier().VerifyImage(ctx, ev, shop, img.Digest)
	if !errors.Is(err, ev.fail) || errors.Is(err, ErrUnsigned) || errors.Is(err, ErrInvalid) {
		t.Errorf("signature: %v", err)
	}
	if _, err := s.Verifier().Attestations(ctx, ev, shop, img.Digest, SPDXPredicate); !errors.Is(err, ev.fail) {
		t.Errorf("attestation: %v", err)
	}
	if err := s.SignImage(ctx, ev, shop, img); !errors.Is(err, ev.fail) {
		t.Errorf("sign: %v", err)
	}
}

// A signer that has read the tag before another moved it overwrites what the
// other wrote; all of them are there in the end.
func TestConcurrentSignersLoseNothing(t *testing.T) {
	const signers = 6
	ctx, ev, img := context.Background(), newMemory(), imageOf("one")
	var all []*Signer
	for range signers {
		all = append(all, testSigner(t))
	}
	// The first write of everybody waits until everybody has read the tag.
	var ready sync.WaitGroup
	ready.Add(signers)
	waited := make(chan struct{}, signers)
	ev.onTag = func() {
		select {
		case waited <- struct{}{}:
			ready.Done()
			ready.Wait()
		default:
		}
	}
	var wg sync.WaitGroup
	for _, s := range all {
		wg.Go(func() {
			if err := s.SignImage(ctx, ev, shop, img); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := verifierOf(t, all...).VerifyImage(ctx, ev, shop, img.Digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		for _, layout := range []string{LayoutTag, LayoutBundle} {
			found := slices.ContainsFunc(got, func(sig Signature) bool { return sig.KeyID == s.KeyID() && sig.Layout == layout })
			if !found {
				t.Errorf("signature of %s in layout %s lost", s.KeyID(), layout)
			}
		}
	}
	if len(got) != 2*signers {
		t.Errorf("%d signatures, want %d", len(got), 2*signers)
	}
}

func TestZeroVerifierRefuses(t *testing.T) {
	ctx, ev, s, img := context.Background(), newMemory(), testSigner(t), imageOf("one")
	if err := s.SignImage(ctx, ev, shop, img); err != nil {
		t.Fatal(err)
	}
	if _, err := new(Verifier).VerifyImage(ctx, ev, shop, img.Digest); !errors.Is(err, ErrInvalid) {
		t.Errorf("zero verifier: %v", err)
	}
	if _, err := NewVerifier(); err == nil {
		t.Error("a verifier without keys")
	}
	if _, err := s.Verifier().VerifyImage(ctx, ev, shop, ""); err == nil {
		t.Error("verified without a digest")
	}
	if _, err := s.Verifier().VerifyImage(ctx, ev, "", img.Digest); err == nil {
		t.Error("verified without an image")
	}
	if _, err := s.Verifier().Attestations(ctx, ev, shop, img.Digest, ""); err == nil {
		t.Error("attestations without a predicate type")
	}
}

func TestSignerNeverPrintsTheKey(t *testing.T) {
	s := testSigner(t)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, s); got != s.KeyID() {
			t.Errorf("%s prints %.80q", format, got)
		}
	}
}
