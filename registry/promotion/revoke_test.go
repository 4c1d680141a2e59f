package promotion

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
)

// A revocation stops everything that hands a version out, and says why; what it
// says is a signed record, and a restoration takes it back.
func TestRevokedVersionIsNotHandedOut(t *testing.T) {
	w := openWorld(t)
	ctx := t.Context()
	a := w.bakedOn(shop, "a")
	w.to("dev", a)
	r := w.revokeOf(RevokeRequest{Image: shop, Digest: a, Reason: "CVE-2026-1", By: "ann"})
	if r.Schema != RevocationSchema || !r.InForce || r.By != "ann" || r.Sequence != 2 || r.Unchanged ||
		!slices.Equal(r.Channels, []StoppedChannel{{shop, "dev", a, nil}}) {
		t.Errorf("%+v", r)
	}
	_, err := w.resolved(shop, "dev")
	if e := want(t, err, KindRevoked, "in channel dev is revoked: CVE-2026-1"); !strings.Contains(e.Hint, "kiln rollback") {
		t.Errorf("hint %q", e.Hint)
	}
	_, err = Channels(w.registry, w.service).Tag(ctx, shop, "dev")
	if registry.ErrorCode(err) != registry.CodeManifestUnknown || !strings.Contains(err.Error(), "CVE-2026-1") {
		t.Errorf("tag: %v", err)
	}
	_, err = w.service.Promote(ctx, PromoteRequest{Image: shop, Digest: a, Channel: "staging"})
	if e := want(t, err, KindDenied, "CVE-2026-1"); len(e.Reasons) != 1 || e.Reasons[0].Rule != "revoked" {
		t.Errorf("reasons %+v", e.Reasons)
	}
	_, err = w.service.Promote(ctx, PromoteRequest{Image: shop, Digest: a, Channel: "dev"})
	want(t, err, KindRevoked, "CVE-2026-1")
	if again := w.revokeOf(RevokeRequest{Image: shop, Digest: a, Reason: "again"}); !again.Unchanged || again.Record != r.Record || again.Reason != "CVE-2026-1" {
		t.Errorf("again %+v", again)
	}
	renewal, err := w.service.Renew(ctx, RenewRequest{Image: shop})
	if err != nil || len(renewal.Renewed) != 0 || len(renewal.Revoked) != 1 {
		t.Errorf("renewal %+v: %v", renewal, err)
	}
	channels, err := w.service.Channels(ctx, ChannelsRequest{Image: shop})
	if err != nil || !channels.Channels[0].Revoked || channels.Channels[0].RevokedBecause != "CVE-2026-1" {
		t.Errorf("channels %+v: %v", channels, err)
	}
	versions, err := w.service.Versions(ctx, VersionsRequest{Image: shop})
	if err != nil || !versions.Versions[0].Revoked || versions.Versions[0].RevokedBecause != "CVE-2026-1" {
		t.Errorf("versions %+v: %v", versions, err)
	}
	list, err := w.service.Revocations(ctx, RevocationsRequest{})
	if err != nil || len(list.Revocations) != 1 || list.Revocations[0].Record != r.Record {
		t.Errorf("revocations %+v: %v", list, err)
	}
	back, err := w.service.Restore(ctx, RestoreRequest{Image: shop, Digest: a, Reason: "a mistake"})
	if err != nil || back.Sequence != 3 || back.By != w.promote.KeyID() {
		t.Fatalf("%+v: %v", back, err)
	}
	if got, err := w.resolved(shop, "dev"); err != nil || got.Digest != a {
		t.Errorf("restored: %+v: %v", got, err)
	}
	_, err = w.service.Restore(ctx, RestoreRequest{Image: shop, Digest: a, Reason: "again"})
	want(t, err, KindNotFound, "is not revoked")
	w.checkLedger(t, map[string]model{"dev": model("").promote(a)})
}

// A revocation hits what was baked on the version, however far down, as signed
// provenance says: manifests and the index of descendants are only believed for
// lists.
func TestRevocationIsInherited(t *testing.T) {
	w := openWorld(t)
	base := w.bakedOn("acme/base", "base")
	lib := w.bakedOn("acme/lib", "lib", parent("acme/base", base))
	app := w.bakedOn(shop, "app", parent("acme/lib", lib))
	alone := w.bakedOn(shop, "alone")
	w.to("dev", alone)
	w.to("dev", app)
	w.to("staging", alone)
	r := w.revokeOf(RevokeRequest{Image: "acme/base", Digest: base, Reason: "CVE-2026-1"})
	if len(r.Descendants) != 2 || !slices.Equal(r.Channels, []StoppedChannel{{shop, "dev", app, nil}}) {
		t.Errorf("%+v", r)
	}
	_, err := w.resolved(shop, "dev")
	want(t, err, KindRevoked, "was baked on acme/base@"+string(base)+", which is revoked: CVE-2026-1")
	_, err = w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: app, Channel: "prod"})
	want(t, err, KindDenied, "was baked on acme/base@")
	renewal, err := w.service.Renew(t.Context(), RenewRequest{Image: shop})
	if err != nil || len(renewal.Renewed) != 1 || len(renewal.Revoked) != 1 {
		t.Errorf("renewal %+v: %v", renewal, err)
	}
	versions, err := w.service.Versions(t.Context(), VersionsRequest{Image: shop})
	if err != nil || len(versions.Versions) != 2 {
		t.Fatalf("versions %+v: %v", versions, err)
	}
	for _, v := range versions.Versions {
		if v.Revoked != (v.Digest == app) {
			t.Errorf("version %+v", v)
		}
	}
	if got, err := w.resolved(shop, "staging"); err != nil || got.Digest != alone {
		t.Errorf("what is not hit: %+v: %v", got, err)
	}
	p, err := w.service.Rollback(t.Context(), RollbackRequest{Image: shop, Channel: "dev"})
	if err != nil || p.Digest != alone {
		t.Errorf("rollback: %+v: %v", p, err)
	}
	_, err = w.service.Rollback(t.Context(), RollbackRequest{Image: shop, Channel: "dev", To: app})
	want(t, err, KindDenied, "which is revoked")
	_, err = w.service.Restore(t.Context(), RestoreRequest{Image: shop, Digest: app, Reason: "x"})
	if e := want(t, err, KindNotFound, "is not revoked"); !strings.Contains(e.Hint, "kiln restore acme/base@"+string(base)) {
		t.Errorf("hint %q", e.Hint)
	}
	if _, err := w.service.Restore(t.Context(), RestoreRequest{Image: "acme/base", Digest: base, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	w.to("prod", app)
}

// --no-descendants leaves what was baked on it, and no later revocation takes
// less than an earlier one.
func TestRevocationIsNotInheritedUnlessWanted(t *testing.T) {
	w := openWorld(t)
	base := w.bakedOn("acme/base", "base")
	app := w.bakedOn(shop, "app", parent("acme/base", base))
	w.to("dev", app)
	r := w.revokeOf(RevokeRequest{Image: "acme/base", Digest: base, NoDescendants: true})
	if len(r.Descendants)+len(r.Channels) != 0 || !r.NoDescendants {
		t.Errorf("%+v", r)
	}
	if _, err := w.resolved(shop, "dev"); err != nil {
		t.Fatal(err)
	}
	w.revokeOf(RevokeRequest{Image: "acme/base", Digest: base})
	_, err := w.resolved(shop, "dev")
	want(t, err, KindRevoked, "was baked on")
	for _, req := range []RevokeRequest{{NoDescendants: true}, {At: in(w.clock.Now().Add(time.Hour))}} {
		req.Image, req.Digest, req.Reason = "acme/base", base, "less"
		_, err := w.service.Revoke(t.Context(), req)
		want(t, err, KindInvalid, "would take some of that back")
	}
}

// A revocation to come: until then the version is handed out, with a statement
// that ends when it begins.
func TestScheduledRevocation(t *testing.T) {
	w := openWorld(t)
	base := w.bakedOn("acme/base", "base")
	app := w.bakedOn(shop, "app", parent("acme/base", base))
	w.to("dev", app)
	at := w.clock.Now().Add(2*time.Hour + 300*time.Millisecond)
	r := w.revokeOf(RevokeRequest{Image: "acme/base", Digest: base, At: &at})
	if r.InForce || !r.At.Equal(at.Truncate(time.Second)) || len(r.Channels) != 1 || r.Channels[0].Outlives != nil {
		t.Errorf("%+v", r)
	}
	if c := w.channel(shop, "dev"); !c.Issue.Expires.Equal(r.At) {
		t.Errorf("nobody asked yet, and the statement lasts until %s", c.Issue.Expires)
	}
	if _, err := w.resolved(shop, "dev"); err != nil {
		t.Fatal(err)
	}
	if c := w.channel(shop, "dev"); c.Issue.Expires.After(at) {
		t.Errorf("a statement until %s of what is revoked at %s", c.Issue.Expires, at)
	}
	list, err := w.service.Versions(t.Context(), VersionsRequest{Image: shop})
	if err != nil || list.Versions[0].Revoked || list.Versions[0].RevokedFrom == nil || !list.Versions[0].RevokedFrom.Equal(r.At) {
		t.Errorf("versions %+v: %v", list, err)
	}
	check, err := w.service.Check(t.Context(), CheckRequest{Image: shop, Digest: app, Channel: "staging"})
	if err != nil || !slices.ContainsFunc(check.Findings, func(f Finding) bool {
		return f.Rule == "revoked" && f.OK && strings.HasPrefix(f.Fact, "to be revoked at "+r.At.Format(time.RFC3339)+": baked on acme/base@")
	}) {
		t.Errorf("check %+v: %v", check.Findings, err)
	}
	w.clock.Add(time.Hour)
	w.to("staging", app)
	if c := w.channel(shop, "staging"); c.Issue.Expires.After(at) {
		t.Errorf("promoted with a statement until %s", c.Issue.Expires)
	}
	w.clock.Add(time.Hour)
	_, err = w.resolved(shop, "dev")
	want(t, err, KindRevoked, "was baked on")
	_, err = w.service.Revoke(t.Context(), RevokeRequest{Image: shop, Digest: app, Reason: "x", At: in(w.clock.Now().Add(-2 * time.Hour))})
	want(t, err, KindInvalid, "past")
	// Sooner than said before is more, and counts.
	later, sooner := w.clock.Now().Add(4*time.Hour), w.clock.Now().Add(time.Hour)
	w.revokeOf(RevokeRequest{Image: shop, Digest: app, At: &later})
	if r := w.revokeOf(RevokeRequest{Image: shop, Digest: app, At: &sooner}); !r.At.Equal(sooner) || r.Unchanged {
		t.Errorf("sooner: %+v", r)
	}
	_, err = w.service.Revoke(t.Context(), RevokeRequest{Image: shop, Digest: app, Reason: "x", At: &later})
	want(t, err, KindInvalid, "take some of that back")
}

// A key that is listed for the base only plans its revocation: statements of
// what was baked on it are not that key's to issue, and it is told so.
func TestPlannedRevocationByAKeyForTheBaseOnly(t *testing.T) {
	w := openWorld(t)
	base := w.bakedOn("acme/base", "base")
	w.to("dev", w.bakedOn(shop, "app", parent("acme/base", base)))
	w.promoted("acme/base", "dev", base)
	if _, err := w.service.AddTrust(t.Context(), TrustRequest{Role: RolePromote, Key: string(w.stranger.PublicPEM()), Image: "acme/base"}); err != nil {
		t.Fatal(err)
	}
	at := w.clock.Now().Add(2 * time.Hour)
	before := w.channel(shop, "dev").Issue.Expires
	s := w.with(func(c *Config) { c.Signer = w.stranger })
	r, err := s.Revoke(t.Context(), RevokeRequest{Image: "acme/base", Digest: base, Reason: "x", At: &at})
	if err != nil || len(r.Channels) != 2 {
		t.Fatalf("%+v: %v", r, err)
	}
	for _, c := range r.Channels {
		ends := w.channel(c.Image, c.Channel).Issue.Expires
		switch {
		case c.Image == shop && (c.Outlives == nil || !c.Outlives.Equal(before) || !ends.Equal(before)):
			t.Errorf("%+v: its statement ends %v", c, ends)
		case c.Image != shop && (c.Outlives != nil || !ends.Equal(at)):
			t.Errorf("%+v: its statement ends %v", c, ends)
		}
	}
}

func (w *world) channel(image, channel string) channelState {
	w.Helper()
	st, err := w.service.state(w.Context(), image)
	if err != nil {
		w.Fatal(err)
	}
	return st.Channels[channel]
}

// An index and the images of its platforms stand and fall together, also as
// parents.
func TestRevokedIndexCoversItsPlatforms(t *testing.T) {
	w := openWorld(t)
	amd, arm := w.bakedOn("acme/base", "amd64"), w.bakedOn("acme/base", "arm64")
	base := w.index("acme/base", nil, amd, arm)
	// Built on one platform's image, with and without a word about the index.
	said := w.bakedOn(shop, "said", parent("acme/base", amd), line{parentIndexName, "acme/base@" + string(base)})
	unsaid := w.bakedOn(shop, "unsaid", parent("acme/base", arm))
	w.to("dev", said)
	w.to("staging", unsaid)
	w.promoted("acme/base", "dev", amd)
	w.promoted("acme/base", "staging", base)
	w.revokeOf(RevokeRequest{Image: "acme/base", Digest: base})
	for _, c := range []struct{ image, channel string }{{shop, "dev"}, {shop, "staging"}, {"acme/base", "dev"}, {"acme/base", "staging"}} {
		_, err := w.resolved(c.image, c.channel)
		want(t, err, KindRevoked, "it leaks")
	}
	if _, err := w.service.Restore(t.Context(), RestoreRequest{Image: "acme/base", Digest: base, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	w.revokeOf(RevokeRequest{Image: "acme/base", Digest: amd})
	for _, c := range []struct{ image, channel string }{{shop, "dev"}, {"acme/base", "dev"}, {"acme/base", "staging"}} {
		_, err := w.resolved(c.image, c.channel)
		want(t, err, KindRevoked, "it leaks")
	}
	if _, err := w.resolved(shop, "staging"); err != nil {
		t.Errorf("on the other platform: %v", err)
	}
}

// What may be revoked: whatever the image has or its ledger names, and what
// others were baked on; nothing else.
func TestWhatMayBeRevoked(t *testing.T) {
	w := openWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open(); c.Retention = []RetentionRule{{Image: "**", History: 1}} })
	base := digest.FromString("elsewhere")
	a, b, c := w.bakedOn(shop, "a"), w.bakedOn(shop, "b"), w.bakedOn(shop, "c", parent("acme/base", base))
	w.revokeOf(RevokeRequest{Image: shop, Digest: c}) // never promoted
	for _, d := range []digest.Digest{a, b} {
		w.to("dev", d)
	}
	d := w.bakedOn(shop, "d")
	w.to("dev", d)
	if _, err := w.service.Delete(t.Context(), DeleteRequest{Image: shop, Digest: a}); err != nil {
		t.Fatal(err)
	}
	w.revokeOf(RevokeRequest{Image: shop, Digest: a}) // was in a channel
	w.revokeOf(RevokeRequest{Image: "acme/base", Digest: base})
	w.to("staging", d)
	for _, req := range []RevokeRequest{
		{Image: shop, Digest: digest.FromString("nothing"), Reason: "x"}, {Image: "acme/none", Digest: a, Reason: "x"},
	} {
		_, err := w.service.Revoke(t.Context(), req)
		want(t, err, KindNotFound, "has no version")
	}
	for _, req := range []RevokeRequest{
		{Image: shop, Digest: a}, {Image: shop, Digest: "sha256:x", Reason: "x"}, {Image: "..", Digest: a, Reason: "x"},
		{Image: shop, Digest: a, Reason: strings.Repeat("x", MaxReason+1)},
	} {
		_, err := w.service.Revoke(t.Context(), req)
		want(t, err, KindInvalid, "")
	}
	_, err := w.with(func(c *Config) { c.Signer = nil }).Revoke(t.Context(), RevokeRequest{Image: shop, Digest: b, Reason: "x"})
	want(t, err, KindDenied, "no promotion key")
	_, err = w.with(func(c *Config) { c.Signer = w.stranger }).Revoke(t.Context(), RevokeRequest{Image: shop, Digest: b, Reason: "x"})
	want(t, err, KindDenied, "not trusted to promote")
}

// More revocations than a state holds: the older ones are found by the index,
// also when that is made anew, and restored like others.
func TestMoreRevocationsThanAStateHolds(t *testing.T) {
	w := openWorld(t)
	long := strings.Repeat("\x01", MaxReason) // six bytes each in JSON
	first := w.bakedOn(shop, "first")
	w.to("dev", first)
	var all []digest.Digest
	for i := range maxRevokedBytes/(6*MaxReason) + 5 {
		d := first
		if i > 0 {
			d = w.image(shop, fmt.Sprint(i)).Digest
		}
		all = append(all, d)
		w.revokeOf(RevokeRequest{Image: shop, Digest: d, Reason: long})
	}
	st, err := w.service.state(t.Context(), shop)
	if err != nil || !st.MoreRevoked || len(st.Revoked) >= len(all) {
		t.Fatalf("the state holds %d of %d: %v", len(st.Revoked), len(all), err)
	}
	for _, forget := range []bool{false, true} {
		if forget {
			w.forgetIndex()
		}
		_, err = w.resolved(shop, "dev")
		want(t, err, KindRevoked, "")
		var listed []digest.Digest
		req := RevocationsRequest{Image: shop, Limit: 7}
		for {
			page, err := w.service.Revocations(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Revocations {
				listed = append(listed, r.Digest)
			}
			if req.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		if slices.Sort(all); !slices.Equal(listed, all) {
			t.Fatalf("%d of %d are listed", len(listed), len(all))
		}
	}
	if n, err := w.service.Reindex(t.Context(), shop, true); err != nil || n != 0 {
		t.Errorf("the index has %d wrong entries: %v", n, err)
	}
	if _, err := w.service.Restore(t.Context(), RestoreRequest{Image: shop, Digest: first, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.resolved(shop, "dev"); err != nil {
		t.Error(err)
	}
}
