package promotion

import (
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestPromotedVersionsStay: what a rollback may need cannot be deleted, neither
// the version nor its tags and evidence; what was never promoted can.
func TestPromotedVersionsStay(t *testing.T) {
	w := newWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	reg := Channels(w.registry, w.service)
	old := w.image(shop, "old", "20261101T000000Z-0123456789ab")
	next := w.image(shop, "next", "20261102T000000Z-0123456789ab")
	free := w.image(shop, "free", "20261103T000000Z-0123456789ab")
	for _, d := range []digest.Digest{old.Digest, next.Digest} {
		if _, err := w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: d, Channel: "dev"}); err != nil {
			t.Fatal(err)
		}
	}
	denied(t, reg.DeleteTag(t.Context(), shop, "20261101T000000Z-0123456789ab"), "was promoted to dev")
	denied(t, reg.DeleteTag(t.Context(), shop, "sha256-"+old.Digest.Encoded()+".sig"), "was promoted to dev")
	denied(t, reg.DeleteManifest(t.Context(), shop, old.Digest), "was promoted to dev")
	if err := reg.DeleteTag(t.Context(), shop, "20261103T000000Z-0123456789ab"); err != nil {
		t.Error(err)
	}
	if err := reg.DeleteManifest(t.Context(), shop, free.Digest); err != nil {
		t.Error(err)
	}
}
