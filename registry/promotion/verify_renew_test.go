package promotion

import (
	"strings"
	"testing"
)

// A statement from before a change of the promotion key says what to do.
func TestStatementOfAnotherKeySaysToRenew(t *testing.T) {
	w := newWorld(t)
	w.to("dev", w.baked(shop, "one"))
	r, err := w.resolved(shop, "dev")
	if err != nil {
		t.Fatal(err)
	}
	err = VerifyResolution(t.Context(), r, VerifyOptions{
		Image: shop, Channel: "dev", BakeKeys: [][]byte{w.bake.PublicPEM()}, PromotionKeys: [][]byte{w.stranger.PublicPEM()},
		Now: w.clock.Now,
	})
	if e := want(t, err, KindVerification, "not signed by a known key"); !strings.Contains(e.Hint, "kiln renew "+shop+" --channel dev") {
		t.Errorf("hint %q", e.Hint)
	}
}
