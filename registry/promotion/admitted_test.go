package promotion

import (
	"strings"
	"testing"
	"time"

	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

// until ends a key's entry at a time.
func (w *world) until(role Role, key *sign.Signer, end time.Time) {
	w.Helper()
	if _, err := w.service.AddTrust(w.Context(), TrustRequest{Role: role, Key: string(key.PublicPEM()), NotAfter: &end}); err != nil {
		w.Fatal(err)
	}
}

// A bake key that ended: what the ledger admitted in time goes on, what it did
// not is refused, and says what to do.
func TestRotatedBakeKey(t *testing.T) {
	w := newWorld(t)
	old := w.baked(shop, "old")
	late := w.baked(shop, "late")
	w.to("dev", old)
	w.until(RoleBake, w.bake, w.clock.Now().Add(time.Hour))
	if _, err := w.service.AddTrust(w.Context(), TrustRequest{Role: RoleBake, Key: string(w.stranger.PublicPEM()), Image: shop}); err != nil {
		t.Fatal(err)
	}
	w.clock.Add(24 * time.Hour)

	w.to("staging", old)
	w.to("prod", old)
	_, err := w.service.Promote(w.Context(), PromoteRequest{Image: shop, Digest: late, Channel: "dev"})
	if e := want(t, err, KindDenied, "sign"); !strings.Contains(e.Hint, "expired") || !strings.Contains(e.Hint, "sign again with a key that is valid") {
		t.Errorf("the refusal does not say what is wrong: %q", e.Hint)
	}
	w.bake = w.stranger
	w.to("dev", w.baked(shop, "new"))

	// Evidence by the old key that came later is nobody's word.
	keys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	desc, _, err := w.registry.Manifest(w.Context(), shop, old)
	if err != nil {
		t.Fatal(err)
	}
	w.attest(keys[0], shop, desc, sign.ProvenancePredicate, provenanceOf(shop, "middleware"))
	check, err := w.service.Check(w.Context(), CheckRequest{Image: shop, Digest: old, Channel: "staging"})
	if err != nil {
		t.Fatal(err)
	}
	if !check.Allow || strings.Contains(string(check.Document), "middleware") {
		t.Errorf("facts of evidence that came too late: %s", check.Document)
	}
}

// A record by a promotion key that ended proves a time only below records of a
// key that is valid: who stole the old key can date records back.
func TestRotatedPromotionKey(t *testing.T) {
	w := newWorld(t)
	old := w.baked(shop, "old")
	w.to("dev", old)
	end := w.clock.Now().Add(time.Hour)
	w.until(RoleBake, w.bake, end)
	w.until(RolePromote, w.promote, end)
	for _, role := range []Role{RoleBake, RolePromote} {
		if _, err := w.service.AddTrust(w.Context(), TrustRequest{Role: role, Key: string(w.stranger.PublicPEM())}); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.Add(24 * time.Hour)
	_, err := w.service.Promote(w.Context(), PromoteRequest{Image: shop, Digest: old, Channel: "staging"})
	want(t, err, KindDenied, "")

	next := w.with(func(c *Config) { c.Signer = w.stranger })
	promote := func(d digest.Digest, channel string) error {
		_, err := next.Promote(w.Context(), PromoteRequest{Image: shop, Digest: d, Channel: channel})
		return err
	}
	want(t, promote(old, "staging"), KindDenied, "")
	w.bake = w.stranger
	if err := promote(w.baked(shop, "new"), "dev"); err != nil {
		t.Fatal(err)
	}
	if err := promote(old, "staging"); err != nil {
		t.Errorf("below a record of the key that followed: %v", err)
	}
}

// The index is a hint: a record that it gives for another channel than the
// record's own admits nothing there, where others may promote.
func TestAdmittedByAnotherChannel(t *testing.T) {
	w := newWorld(t)
	d := w.baked(shop, "a")
	w.to("dev", d)
	st, err := w.service.state(t.Context(), shop)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.service.store.Put(t.Context(), reachedKey(shop, "staging", d), strings.NewReader(string(st.Head))); err != nil {
		t.Fatal(err)
	}
	trust, err := w.service.Trust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for channel, want := range map[string]bool{"dev": true, "staging": false} {
		at := map[digest.Digest]time.Time{}
		if err := w.service.admittedBy(t.Context(), trust, shop, channel, d, st, at); err != nil || (len(at) > 0) != want {
			t.Errorf("%s: %v, %v", channel, at, err)
		}
	}
}
