package promotion

import (
	"testing"
	"time"
)

// An answer is worth three signatures: statement, signature, provenance. Each
// that is good asks the clock once whether its key still is, and the statement's
// life is held against it once more; that each costs one ECDSA verification is
// for package sign to show (TestOneCheckForEachSignature). A hostile answer that
// repeats its evidence costs no more.
func TestVerifyResolutionChecksThreeSignatures(t *testing.T) {
	w := newWorld(t)
	w.to("dev", w.baked(shop, "a"))
	r := w.resolve(shop, "dev")
	trust, err := w.service.Trust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	crowd := w.crowded(trust, 2)
	repeated := r
	for range 3 {
		repeated.Evidence = append(repeated.Evidence, r.Evidence...)
	}
	for name, c := range map[string]struct {
		trust  Trust
		answer Resolution
	}{"trust": {trust, r}, "crowd": {crowd, r}, "repeated": {trust, repeated}} {
		asked := 0
		now := func() time.Time { asked++; return w.clock.Now() }
		err := VerifyResolution(t.Context(), c.answer, VerifyOptions{Image: shop, Channel: "dev", Trust: &c.trust, Now: now})
		if err != nil || asked != 3+1 {
			t.Errorf("%s: the clock was asked %d times, want 4; %v", name, asked, err)
		}
	}
}
