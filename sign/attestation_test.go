package sign

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
)

func TestAttestations(t *testing.T) {
	ctx, ev, s, img := context.Background(), newMemory(), testSigner(t), imageOf("one")
	first, err := s.Attest(ctx, ev, shop, img, TestPredicate, map[string]string{"result": "PASSED"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Attest(ctx, ev, shop, img, TestPredicate, json.RawMessage(` {"result": "PASSED"} `))
	if err != nil || again.Digest != first.Digest {
		t.Errorf("the same again: %s, want %s (%v)", again.Digest, first.Digest, err)
	}
	if _, err := s.Attest(ctx, ev, shop, img, TestPredicate, map[string]string{"result": "FAILED"}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Verifier().Attestations(ctx, ev, shop, img.Digest, TestPredicate)
	if err != nil || len(got) != 2 {
		t.Fatalf("%d attestations, %v", len(got), err)
	}
	if a := got[0]; a.Digest != first.Digest || a.KeyID != s.KeyID() || string(a.Predicate) != `{"result":"PASSED"}` || a.Subject != (Subject{shop, img.Digest}) {
		t.Errorf("got %+v", a)
	}
	st, keyID, err := s.Verifier().VerifyBundle(got[1].Bundle, shop, img.Digest, TestPredicate)
	if err != nil || keyID != s.KeyID() || string(st.Predicate) != `{"result":"FAILED"}` {
		t.Errorf("offline: %+v, %s, %v", st, keyID, err)
	}
	if _, err := s.Verifier().VerifyImage(ctx, ev, shop, img.Digest); !errors.Is(err, ErrUnsigned) {
		t.Errorf("attestations as a signature: %v", err)
	}
}

// Attestations that are added at the same time are all there.
func TestConcurrentAttestations(t *testing.T) {
	ctx, ev, s, img := context.Background(), newMemory(), testSigner(t), imageOf("one")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if _, err := s.Attest(ctx, ev, shop, img, TestPredicate, map[string]int{"n": i}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := s.Verifier().Attestations(ctx, ev, shop, img.Digest, TestPredicate)
	if err != nil || len(got) != 20 {
		t.Errorf("%d attestations of 20, %v", len(got), err)
	}
}

func TestAttestationsThatAreNotMade(t *testing.T) {
	ctx, ev, s, img := context.Background(), newMemory(), testSigner(t), imageOf("one")
	for what, c := range map[string]struct {
		image, predicateType string
		predicate            any
	}{
		"no image":         {"", SPDXPredicate, struct{}{}},
		"no type":          {shop, "", struct{}{}},
		"a signature":      {shop, SignaturePredicate, struct{}{}},
		"a record":         {shop, PromotionPredicate, struct{}{}},
		"a statement":      {shop, ChannelPredicate, struct{}{}},
		"a list":           {shop, SPDXPredicate, []string{}},
		"null":             {shop, SPDXPredicate, nil},
		"not JSON":         {shop, SPDXPredicate, json.RawMessage("{")},
		"not marshallable": {shop, SPDXPredicate, make(chan int)},
		"giant":            {shop, SPDXPredicate, map[string]string{"a": strings.Repeat("a", maxBundle)}},
	} {
		if _, err := s.Attest(ctx, ev, c.image, img, c.predicateType, c.predicate); err == nil {
			t.Errorf("%s: attested", what)
		}
	}
	if len(ev.manifests) != 0 {
		t.Errorf("%d manifests written", len(ev.manifests))
	}
}
