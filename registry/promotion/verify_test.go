package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/registry/store"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

// asked is a store with shop in dev, prod two versions long, and the options
// of a deployer who asks for dev.
func asked(t *testing.T) (*world, digest.Digest, VerifyOptions) {
	w := newWorld(t)
	a := w.baked(shop, "a")
	w.to("dev", a)
	return w, a, VerifyOptions{
		Image: shop, Channel: "dev", Now: w.clock.Now,
		BakeKeys: [][]byte{w.bake.PublicPEM()}, PromotionKeys: [][]byte{w.promote.PublicPEM()},
		Manifest: func(ctx context.Context, image string, d digest.Digest) ([]byte, error) {
			_, content, err := w.registry.Manifest(ctx, image, d)
			return content, err
		},
	}
}

func (w *world) resolve(image, channel string) Resolution {
	w.Helper()
	r, err := w.service.Resolve(w.Context(), ResolveRequest{Image: image, Channel: channel})
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func TestResolution(t *testing.T) {
	w, a, opts := asked(t)
	r := w.resolve(shop, "dev")
	if r.Reference != shop+"@"+string(a) || r.Sequence != 1 || len(r.Tags) != 1 || !slices.Equal(r.Platforms, []string{"linux/amd64"}) ||
		len(r.Evidence) != 6 || r.Evidence[0].PredicateType != sign.SignaturePredicate || r.PromotedBy != w.promote.KeyID() || r.PromotedAt.IsZero() {
		t.Errorf("resolution %+v", r)
	}
	// It survives the wire, also one that escapes and indents.
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var back Resolution
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if err := VerifyResolution(t.Context(), back, opts); err != nil {
		t.Error(err)
	}
	_, err = w.service.Resolve(t.Context(), ResolveRequest{Image: shop, Channel: "prod"})
	want(t, err, KindNotFound, "holds nothing")
	_, err = w.service.Resolve(t.Context(), ResolveRequest{Image: shop, Channel: "qa"})
	want(t, err, KindNotFound, "no channel")
	w.revoke(a)
	_, err = w.service.Resolve(t.Context(), ResolveRequest{Image: shop, Channel: "dev"})
	want(t, err, KindRevoked, "it leaks")
	_, err = w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: a, Channel: "staging"})
	want(t, err, KindDenied, "is revoked")
}

// FAULTS 34, 37: whatever a hostile server or bucket makes of the answer.
func TestVerifyResolutionRefuses(t *testing.T) {
	w, a, opts := asked(t)
	b := w.baked(shop, "b")
	api := w.baked("acme/api", "x")
	w.to("staging", a)
	if _, err := w.service.Promote(t.Context(), PromoteRequest{Image: "acme/api", Digest: api, Channel: "dev"}); err != nil {
		t.Fatal(err)
	}
	stranger := [][]byte{w.stranger.PublicPEM()}
	for _, tc := range []struct {
		name   string
		change func(*Resolution, *VerifyOptions)
		kind   Kind
		text   string
	}{
		{"fine", func(*Resolution, *VerifyOptions) {}, "", ""},
		{"host in the reference", func(r *Resolution, _ *VerifyOptions) { r.Reference = "registry.example.com:5000/" + r.Reference }, "", ""},
		{"no bake keys", func(_ *Resolution, o *VerifyOptions) { o.BakeKeys = nil }, KindInvalid, "both required"},
		{"no promotion keys", func(_ *Resolution, o *VerifyOptions) { o.PromotionKeys = nil }, KindInvalid, "both required"},
		{"broken key", func(_ *Resolution, o *VerifyOptions) { o.BakeKeys = [][]byte{[]byte("x")} }, KindInvalid, "key for baking"},
		{"nothing asked", func(_ *Resolution, o *VerifyOptions) { o.Channel = "" }, KindInvalid, ""},
		{"nothing answered", func(r *Resolution, _ *VerifyOptions) { *r = Resolution{} }, KindVerification, ""},
		{"other bake key", func(_ *Resolution, o *VerifyOptions) { o.BakeKeys = stranger }, KindVerification, "no signature by a key"},
		{"other promotion key", func(_ *Resolution, o *VerifyOptions) { o.PromotionKeys = stranger }, KindVerification, "statement of"},
		{"bake key signs no statement", func(_ *Resolution, o *VerifyOptions) { o.PromotionKeys = o.BakeKeys }, KindVerification, "statement of"},
		{"another image's answer", func(r *Resolution, _ *VerifyOptions) { *r = w.resolve("acme/api", "dev") }, KindVerification, "the answer is about acme/api"},
		{"another image's, renamed", func(r *Resolution, _ *VerifyOptions) {
			*r = w.resolve("acme/api", "dev")
			r.Image, r.Reference = shop, shop+"@"+string(r.Digest)
		}, KindVerification, "the statement is about acme/api"},
		{"another channel's answer", func(r *Resolution, _ *VerifyOptions) { *r = w.resolve(shop, "staging") }, KindVerification, "the answer is about"},
		{"another channel's, renamed", func(r *Resolution, _ *VerifyOptions) { *r = w.resolve(shop, "staging"); r.Channel = "dev" }, KindVerification, "the statement is about acme/shop staging"},
		{"another digest", func(r *Resolution, _ *VerifyOptions) { r.Digest, r.Reference = b, shop+"@"+string(b) }, KindVerification, "another digest"},
		{"no digest", func(r *Resolution, _ *VerifyOptions) { r.Digest = "latest" }, KindVerification, "invalid digest"},
		{"reference to another digest", func(r *Resolution, _ *VerifyOptions) { r.Reference = shop + "@" + string(b) }, KindVerification, "reference"},
		{"reference with a tag", func(r *Resolution, _ *VerifyOptions) { r.Reference = shop + ":dev" }, KindVerification, "reference"},
		{"reference to another image", func(r *Resolution, _ *VerifyOptions) { r.Reference = "evil/shop@" + string(a) }, KindVerification, "reference"},
		{"sequence raised", func(r *Resolution, _ *VerifyOptions) { r.Sequence++ }, KindVerification, "the statement has the sequence"},
		{"revoked", func(r *Resolution, _ *VerifyOptions) { r.Revoked = true }, KindRevoked, ""},
		{"no statement", func(r *Resolution, _ *VerifyOptions) { r.Statement = nil }, KindVerification, "statement of"},
		{"a record as statement", func(r *Resolution, _ *VerifyOptions) { r.Statement = w.recordEnvelope() }, KindVerification, "predicate type"},
		{"no evidence", func(r *Resolution, _ *VerifyOptions) { r.Evidence = nil }, KindVerification, "has no signature"},
		{"no signature", func(r *Resolution, _ *VerifyOptions) { r.Evidence = r.Evidence[1:] }, KindVerification, "has no signature"},
		{"no provenance", func(r *Resolution, _ *VerifyOptions) { r.Evidence = r.Evidence[:1] }, KindVerification, "has no provenance"},
		{"provenance as signature", func(r *Resolution, _ *VerifyOptions) {
			r.Evidence = slices.Clone(r.Evidence)
			r.Evidence[0].Bundle = r.Evidence[1].Bundle
		}, KindVerification, "has no signature"},
		{"another image's signature", func(r *Resolution, _ *VerifyOptions) { r.Evidence = w.resolve("acme/api", "dev").Evidence }, KindVerification, "has no signature"},
		{"another store", func(_ *Resolution, o *VerifyOptions) { o.StoreID = "another" }, KindVerification, "of store"},
		{"too low", func(_ *Resolution, o *VerifyOptions) { o.MinSequence = 2 }, KindVerification, "below the required 2"},
		{"other bytes", func(_ *Resolution, o *VerifyOptions) {
			o.Manifest = func(context.Context, string, digest.Digest) ([]byte, error) { return []byte("{}"), nil }
		}, KindVerification, "do not match"},
		{"no bytes", func(_ *Resolution, o *VerifyOptions) {
			o.Manifest = func(context.Context, string, digest.Digest) ([]byte, error) { return nil, errors.New("offline") }
		}, KindInternal, "offline"},
		{"old enough", func(_ *Resolution, o *VerifyOptions) { o.Now = w.in(time.Hour); o.MaxAge = 2 * time.Hour }, "", ""},
		{"too old", func(_ *Resolution, o *VerifyOptions) { o.Now = w.in(3 * time.Hour); o.MaxAge = 2 * time.Hour }, KindVerification, "old, more than"},
		{"expired", func(_ *Resolution, o *VerifyOptions) { o.Now = w.in(EmbeddedLifetime) }, KindVerification, "expired"},
		{"clock behind a little", func(_ *Resolution, o *VerifyOptions) { o.Now = w.in(-time.Minute) }, "", ""},
		{"from the future", func(_ *Resolution, o *VerifyOptions) { o.Now = w.in(-2 * MaxSkew) }, KindVerification, "in the future"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, o := w.resolve(shop, "dev"), opts
			tc.change(&r, &o)
			want(t, VerifyResolution(t.Context(), r, o), tc.kind, tc.text)
		})
	}
}

// A provenance that speaks of another image proves nothing, though a bake key
// signed it about these bytes; one that speaks of this image does, beside it.
func TestProvenanceOfAnotherImage(t *testing.T) {
	w, a, opts := asked(t)
	before := w.resolve(shop, "dev").Evidence
	desc, _, err := w.registry.Manifest(t.Context(), shop, a)
	if err != nil {
		t.Fatal(err)
	}
	w.attest(w.bake, shop, desc, sign.ProvenancePredicate, provenanceOf("acme/base", "base"))
	w.to("staging", a)
	r := w.resolve(shop, "dev")
	if err := VerifyResolution(t.Context(), r, opts); err != nil {
		t.Error(err)
	}
	r.Evidence = slices.DeleteFunc(r.Evidence, func(e Evidence) bool {
		return e.PredicateType == sign.ProvenancePredicate &&
			slices.ContainsFunc(before, func(o Evidence) bool { return o.Digest == e.Digest })
	})
	want(t, VerifyResolution(t.Context(), r, opts), KindVerification, `of image "acme/base"`)
}

// in is the clock some time from now.
func (w *world) in(d time.Duration) func() time.Time {
	return func() time.Time { return w.clock.Now().Add(d) }
}

// recordEnvelope is the envelope of the head's record.
func (w *world) recordEnvelope() []byte {
	w.Helper()
	st, err := w.service.state(w.Context(), shop)
	if err != nil {
		w.Fatal(err)
	}
	manifest, err := w.service.blob(w.Context(), shop, st.Head, 1<<20)
	if err != nil {
		w.Fatal(err)
	}
	d, err := recordLayer(manifest)
	if err != nil {
		w.Fatal(err)
	}
	envelope, err := w.service.blob(w.Context(), shop, d, 1<<20)
	if err != nil {
		w.Fatal(err)
	}
	return envelope
}

// FAULTS 37: an old answer is played back, whether the channel moved since or
// the statement was only issued anew.
func TestReplayIsRefused(t *testing.T) {
	w, _, opts := asked(t)
	opts.Seen = &Seen{Dir: filepath.Join(t.TempDir(), "seen")}
	old := w.resolve(shop, "dev")
	check := func(r Resolution) error { return VerifyResolution(t.Context(), r, opts) }
	for range 2 { // the same again is fine
		if err := check(old); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.Add(time.Hour)
	if n, err := w.service.Renew(t.Context(), RenewRequest{Image: shop}); err != nil || len(n.Renewed) != 1 {
		t.Fatalf("%+v: %v", n, err)
	}
	renewed := w.resolve(shop, "dev")
	if err := check(renewed); err != nil {
		t.Fatal(err)
	}
	want(t, check(old), KindVerification, "older")
	w.to("dev", w.baked(shop, "b"))
	moved := w.resolve(shop, "dev")
	bad := opts
	bad.BakeKeys = [][]byte{w.stranger.PublicPEM()}
	want(t, VerifyResolution(t.Context(), moved, bad), KindVerification, "no signature")
	if err := check(renewed); err != nil {
		t.Fatalf("a refused answer was remembered: %v", err)
	}
	if err := check(moved); err != nil {
		t.Fatal(err)
	}
	want(t, check(renewed), KindVerification, "older")
	// Another channel and another deployer are not concerned.
	opts.Seen = &Seen{Dir: t.TempDir()}
	if err := check(renewed); err != nil {
		t.Error(err)
	}
}

func TestSeenThatIsDamagedRefuses(t *testing.T) {
	s := &Seen{Dir: t.TempDir()}
	m := Mark{StoreID: "s", Image: shop, Channel: "dev", Sequence: 3, Issued: time.Unix(1e9, 0).UTC()}
	if err := s.Advance(m); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load("s", shop, "dev"); err != nil || got != m {
		t.Fatalf("%+v: %v", got, err)
	}
	if err := os.WriteFile(s.path("s", shop, "dev"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Advance(m); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("error %v", err)
	}
}

// A server renews at half of a statement's life; without a key the old one is
// handed out. FAULTS 43: clocks that jump do not make statements older.
func TestStatementsAreRenewed(t *testing.T) {
	w, a, _ := asked(t)
	w.service = w.with(func(c *Config) { c.Lifetime = ServerLifetime })
	w.to("staging", a)
	first := w.resolve(shop, "staging")
	w.clock.Add(11 * time.Hour)
	if got := w.resolve(shop, "staging"); string(got.Statement) != string(first.Statement) {
		t.Error("renewed before half of its life")
	}
	w.clock.Add(2 * time.Hour)
	keyless := w.with(func(c *Config) { c.Signer = nil })
	r, err := keyless.Resolve(t.Context(), ResolveRequest{Image: shop, Channel: "staging"})
	if err != nil || string(r.Statement) != string(first.Statement) {
		t.Errorf("without a key: %v", err)
	}
	stranger := w.with(func(c *Config) { c.Signer = w.stranger })
	r, err = stranger.Resolve(t.Context(), ResolveRequest{Image: shop, Channel: "staging"})
	if err != nil || string(r.Statement) != string(first.Statement) {
		t.Errorf("with a key that is not trusted: %v", err)
	}
	second := w.resolve(shop, "staging")
	if string(second.Statement) == string(first.Statement) || second.Sequence != first.Sequence {
		t.Errorf("not renewed after half of its life, or moved: %d", second.Sequence)
	}
	if second.PromotedAt != first.PromotedAt {
		t.Error("renewing changed when it was promoted")
	}
	before := w.issueOf("staging")
	w.clock.Add(-48 * time.Hour)
	if _, err := w.service.Renew(t.Context(), RenewRequest{}); err != nil {
		t.Fatal(err)
	}
	if after := w.issueOf("staging"); after.Issued.Before(before.Issued) {
		t.Errorf("issued %v after %v", after.Issued, before.Issued)
	}
	w.revoke(a)
	n, err := w.service.Renew(t.Context(), RenewRequest{})
	if err != nil || len(n.Revoked) != 2 || len(n.Renewed) != 0 {
		t.Errorf("revoked: %+v: %v", n, err)
	}
	_, err = keyless.Renew(t.Context(), RenewRequest{})
	want(t, err, KindDenied, "no promotion key")
	_, err = w.service.Renew(t.Context(), RenewRequest{Image: "acme/none"})
	want(t, err, KindNotFound, "no image")
}

func (w *world) issueOf(channel string) issue {
	w.Helper()
	st, err := w.service.state(w.Context(), shop)
	if err != nil {
		w.Fatal(err)
	}
	return st.Channels[channel].Issue
}

// Bytes that rot in the store are no answer.
func TestDamagedManifestIsNotResolved(t *testing.T) {
	w, a, _ := asked(t)
	key := store.BlobKey(a)
	if err := w.store.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if err := w.store.Put(t.Context(), key, strings.NewReader("{}")); err != nil {
		t.Fatal(err)
	}
	_, err := w.service.Resolve(t.Context(), ResolveRequest{Image: shop, Channel: "dev"})
	want(t, err, KindVerification, "do not match")
	_, err = w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: a, Channel: "staging"})
	want(t, err, KindVerification, "do not match")
}
