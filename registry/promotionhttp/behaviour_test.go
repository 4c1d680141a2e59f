package promotionhttp

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/registry/promotion"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

const absent = digest.Digest("sha256:0000000000000000000000000000000000000000000000000000000000000000")

// TestBehaviour holds the service and the client to the same.
func TestBehaviour(t *testing.T) {
	for name, pick := range map[string]func(*world) promotion.Operations{
		"service": func(w *world) promotion.Operations { return w.service },
		"client":  func(w *world) promotion.Operations { return w.client },
	} {
		t.Run(name, func(t *testing.T) {
			for _, b := range []struct {
				name string
				test func(*testing.T, *world, promotion.Operations)
			}{
				{"moves", testMoves}, {"refusals", testRefusals}, {"lists", testLists}, {"pages", testPages}, {"trust", testTrust},
				{"ancestry", testAncestry}, {"leases", testLeases}, {"deletion", testDeletion}, {"collection", testCollection},
				{"revocations", testRevocations}, {"approvals", testApprovals},
			} {
				t.Run(b.name, func(t *testing.T) {
					w := newWorld(t)
					b.test(t, w, pick(w))
				})
			}
		})
	}
}

func promote(t *testing.T, ops promotion.Operations, d digest.Digest, channel string) promotion.Promotion {
	t.Helper()
	p, err := ops.Promote(t.Context(), promotion.PromoteRequest{Image: shop, Digest: d, Channel: channel, Reason: "a <b> & ü"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func testMoves(t *testing.T, w *world, ops promotion.Operations) {
	ctx := t.Context()
	a, b := w.baked(shop, "a"), w.baked(shop, "b")
	first := promote(t, ops, a, "dev")
	if first.Sequence != 1 || first.Previous != "" || first.RecordedKey != w.promote.KeyID() || first.Unchanged || first.Image != shop || first.Record == "" {
		t.Errorf("first promotion %+v", first)
	}
	second := promote(t, ops, b, "dev")
	if again := promote(t, ops, b, "dev"); !again.Unchanged || again.Record != second.Record || second.Previous != a {
		t.Errorf("again %+v, before %+v", again, second)
	}
	r, err := ops.Resolve(ctx, promotion.ResolveRequest{Image: shop, Channel: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	if r.Digest != b || r.Sequence != 2 || !strings.HasSuffix(r.Reference, shop+"@"+string(b)) || r.PromotedBy != w.promote.KeyID() ||
		len(r.Tags) != 1 || !slices.Equal(r.Platforms, []string{"linux/amd64"}) || len(r.Evidence) != 6 {
		t.Errorf("resolution %+v", r)
	}
	bake, prom := [][]byte{w.bake.PublicPEM()}, [][]byte{w.promote.PublicPEM()}
	opts := promotion.VerifyOptions{Image: shop, Channel: "dev", BakeKeys: bake, PromotionKeys: prom, Now: func() time.Time { return w.now }}
	if err := promotion.VerifyResolution(ctx, r, opts); err != nil {
		t.Errorf("verify: %v", err)
	}
	back, err := ops.Rollback(ctx, promotion.RollbackRequest{Image: shop, Channel: "dev", Reason: "b is bad", Expect: string(b)})
	if err != nil || back.Digest != a || back.Previous != b || back.Sequence != 3 {
		t.Errorf("rollback %+v: %v", back, err)
	}
	renewed, err := ops.Renew(ctx, promotion.RenewRequest{Image: shop})
	if err != nil || len(renewed.Renewed) != 1 || renewed.Renewed[0].Digest != a || renewed.Renewed[0].Expires.IsZero() {
		t.Errorf("renewal %+v: %v", renewed, err)
	}
}

func testRefusals(t *testing.T, w *world, ops promotion.Operations) {
	ctx := t.Context()
	a := w.baked(shop, "a")
	bare := w.image(shop, "bare").Digest
	promote(t, ops, a, "dev")
	_, err := ops.Promote(ctx, promotion.PromoteRequest{Image: shop, Digest: a, Channel: "prod"})
	if e := want(t, err, promotion.KindDenied, "never in staging"); len(e.Reasons) != 1 || e.Reasons[0].Rule == "" || e.Reasons[0].Fix == "" {
		t.Errorf("reasons %+v", e.Reasons)
	}
	_, err = ops.Promote(ctx, promotion.PromoteRequest{Image: shop, Digest: bare, Channel: "dev"})
	if e := want(t, err, promotion.KindDenied, "no signature by a key"); len(e.Reasons) < 3 {
		t.Errorf("reasons %+v", e.Reasons)
	}
	_, err = ops.Promote(ctx, promotion.PromoteRequest{Image: shop, Digest: bare, Channel: "dev", Expect: promotion.ExpectNone})
	if e := want(t, err, promotion.KindConflict, "it holds "+string(a)); e.Current != a || e.Hint == "" {
		t.Errorf("conflict %+v", e)
	}
	_, err = ops.Promote(ctx, promotion.PromoteRequest{Image: shop, Digest: a, Channel: "staging", Expect: string(bare)})
	if e := want(t, err, promotion.KindConflict, "it holds nothing"); e.Current != "" {
		t.Errorf("conflict %+v", e)
	}
	_, err = ops.Promote(ctx, promotion.PromoteRequest{Image: "../x", Digest: a, Channel: "dev"})
	want(t, err, promotion.KindInvalid, "invalid image name")
	_, err = ops.Promote(ctx, promotion.PromoteRequest{Image: shop, Digest: "sha256:x", Channel: "dev"})
	want(t, err, promotion.KindInvalid, "invalid digest")
	_, err = ops.Promote(ctx, promotion.PromoteRequest{Image: shop, Digest: absent, Channel: "dev"})
	want(t, err, promotion.KindNotFound, "has no version")
	_, err = ops.Rollback(ctx, promotion.RollbackRequest{Image: shop, Channel: "dev"})
	want(t, err, promotion.KindNotFound, "")
	_, err = ops.Resolve(ctx, promotion.ResolveRequest{Image: shop, Channel: "prod"})
	if e := want(t, err, promotion.KindNotFound, "holds nothing"); !strings.Contains(e.Hint, "kiln promote") {
		t.Errorf("hint %q", e.Hint)
	}
	_, err = ops.Resolve(ctx, promotion.ResolveRequest{Image: shop, Channel: "qa"})
	want(t, err, promotion.KindNotFound, `no channel "qa"`)
	_, err = ops.Versions(ctx, promotion.VersionsRequest{Image: "acme/none"})
	want(t, err, promotion.KindNotFound, "no image acme/none")
	_, err = ops.Versions(ctx, promotion.VersionsRequest{Image: shop, Digest: "sha256:x"})
	want(t, err, promotion.KindInvalid, "invalid digest")
	_, err = ops.History(ctx, promotion.HistoryRequest{Image: shop, Cursor: "x"})
	want(t, err, promotion.KindInvalid, "invalid cursor")
	w.damage(a)
	_, err = ops.Resolve(ctx, promotion.ResolveRequest{Image: shop, Channel: "dev"})
	want(t, err, promotion.KindVerification, "do not match")
}

func testLists(t *testing.T, w *world, ops promotion.Operations) {
	ctx := t.Context()
	a := w.baked(shop, "a")
	w.image("acme/base", "base")
	promote(t, ops, a, "dev")
	images, err := ops.Images(ctx, promotion.ImagesRequest{})
	if err != nil || len(images.Images) != 2 || images.Images[1].Channels["dev"] != a || images.Next != "" {
		t.Errorf("images %+v: %v", images, err)
	}
	channels, err := ops.Channels(ctx, promotion.ChannelsRequest{Image: shop})
	if err != nil || len(channels.Channels) != 3 || channels.Channels[0].Digest != a || channels.Channels[0].Expires == nil ||
		channels.Channels[2].Channel != "prod" || channels.Channels[2].PromotedAt != nil {
		t.Errorf("channels %+v: %v", channels, err)
	}
	h, err := ops.History(ctx, promotion.HistoryRequest{Image: shop})
	if err != nil || len(h.Entries) != 1 || h.Entries[0].Reason != "a <b> & ü" || h.Entries[0].Action != promotion.ActionPromote || h.Entries[0].By != w.promote.KeyID() {
		t.Errorf("history %+v: %v", h, err)
	}
	v, err := ops.Versions(ctx, promotion.VersionsRequest{Image: shop})
	if err != nil || len(v.Versions) != 1 || v.Versions[0].Digest != a || !slices.Equal(v.Versions[0].Channels, []string{"dev"}) {
		t.Errorf("versions %+v: %v", v, err)
	}
}

func testPages(t *testing.T, w *world, ops promotion.Operations) {
	ctx := t.Context()
	a, b, c := w.baked(shop, "a"), w.baked(shop, "b"), w.baked(shop, "c")
	w.tagged(shop, "a")
	promote(t, ops, a, "dev")
	promote(t, ops, b, "dev")
	promote(t, ops, a, "staging")
	var seen []digest.Digest
	cursor := ""
	for range 10 {
		page, err := ops.Versions(ctx, promotion.VersionsRequest{Image: shop, Limit: 1, Cursor: cursor})
		if err != nil || len(page.Versions) != 1 {
			t.Fatalf("page %+v: %v", page, err)
		}
		seen = append(seen, page.Versions[0].Digest)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if !slices.Equal(seen, []digest.Digest{a, c, b, a}) {
		t.Errorf("pages of versions %v", seen)
	}
	of, err := ops.Versions(ctx, promotion.VersionsRequest{Image: shop, Digest: a})
	if err != nil || len(of.Versions) != 1 || of.Versions[0].Digest != a || len(of.Versions[0].Tags) != 2 {
		t.Errorf("versions of one digest %+v: %v", of, err)
	}
	of, err = ops.Versions(ctx, promotion.VersionsRequest{Image: shop, Digest: absent})
	if err != nil || len(of.Versions) != 0 || of.Versions == nil {
		t.Errorf("versions of no digest %+v: %v", of, err)
	}
	first, err := ops.History(ctx, promotion.HistoryRequest{Image: shop, Channel: "dev", Limit: 1})
	if err != nil || len(first.Entries) != 1 || first.Entries[0].Digest != b || first.Next == "" {
		t.Fatalf("first page %+v: %v", first, err)
	}
	second, err := ops.History(ctx, promotion.HistoryRequest{Image: shop, Channel: "dev", Limit: 5000, Cursor: first.Next})
	if err != nil || len(second.Entries) != 1 || second.Entries[0].Digest != a || second.Next != "" {
		t.Errorf("second page %+v: %v", second, err)
	}
}

func testTrust(t *testing.T, w *world, ops promotion.Operations) {
	ctx := t.Context()
	empty, err := ops.Trust(ctx)
	if id, _ := w.service.StoreID(ctx); id == "" || empty.StoreID != id {
		t.Errorf("trust of store %q, it is %q", empty.StoreID, id)
	}
	empty.StoreID = ""
	if err != nil || !reflect.DeepEqual(empty, promotion.Trust{Schema: promotion.TrustSchema, Entries: []promotion.TrustEntry{}, Closed: []promotion.Role{}}) {
		t.Errorf("new trust %+v: %v", empty, err)
	}
	add := func(req promotion.TrustRequest) (promotion.TrustEntry, error) { return ops.AddTrust(ctx, req) }
	e, err := add(promotion.TrustRequest{Role: promotion.RoleBake, Key: string(w.bake.PublicPEM()), Image: "acme/*"})
	if err != nil || e.KeyID != w.bake.KeyID() || e.Image != "acme/*" {
		t.Fatalf("entry %+v: %v", e, err)
	}
	_, err = add(promotion.TrustRequest{Role: promotion.RoleBake, Key: string(w.stranger.PublicPEM()), FirstUse: true})
	want(t, err, promotion.KindDenied, "not trusted to bake")
	first, err := add(promotion.TrustRequest{Role: promotion.RolePromote, Key: string(w.promote.PublicPEM()), FirstUse: true})
	if err != nil || first.Image != promotion.EveryImage || first.AddedBy != w.promote.KeyID() {
		t.Errorf("first use %+v: %v", first, err)
	}
	_, err = add(promotion.TrustRequest{Role: "own", Key: string(w.bake.PublicPEM())})
	want(t, err, promotion.KindInvalid, "unknown role")
	_, err = add(promotion.TrustRequest{Role: promotion.RoleBake, Key: "no key"})
	want(t, err, promotion.KindInvalid, "trust: ")
	_, err = ops.RemoveTrust(ctx, promotion.TrustRequest{})
	want(t, err, promotion.KindInvalid, "which key?")
	_, err = ops.RemoveTrust(ctx, promotion.TrustRequest{KeyID: w.stranger.KeyID()})
	want(t, err, promotion.KindNotFound, "no such entry")
	left, err := ops.RemoveTrust(ctx, promotion.TrustRequest{Key: string(w.bake.PublicPEM()), Role: promotion.RoleBake, Image: "acme/*"})
	if err != nil || len(left.Entries) != 1 || left.Entries[0].Role != promotion.RolePromote || len(left.Closed) != 2 {
		t.Errorf("what is left %+v: %v", left, err)
	}
	testTrustedIdentity(t, ops)
}

// An identity is listed with channels and dates, and removed by what it is.
func testTrustedIdentity(t *testing.T, ops promotion.Operations) {
	ctx := t.Context()
	who := &sign.Identity{Issuer: "https://issuer.example.com", SubjectRegexp: `.*@example\.com`}
	from, until := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	req := promotion.TrustRequest{Role: promotion.RoleApprove, Identity: who, Channels: []string{"prod"}, NotBefore: &from}
	e, err := ops.AddTrust(ctx, req)
	if err != nil || !reflect.DeepEqual(e.Identity, who) || e.Key != "" || !slices.Equal(e.Channels, req.Channels) || !e.NotBefore.Equal(from) || e.NotAfter != nil {
		t.Fatalf("identity %+v: %v", e, err)
	}
	// Again it changes what it names, and keeps the rest.
	e, err = ops.AddTrust(ctx, promotion.TrustRequest{Role: promotion.RoleApprove, Identity: who, NotAfter: &until})
	if err != nil || !slices.Equal(e.Channels, req.Channels) || !e.NotBefore.Equal(from) || !e.NotAfter.Equal(until) {
		t.Errorf("changed %+v: %v", e, err)
	}
	all, err := ops.Trust(ctx)
	if err != nil || !slices.ContainsFunc(all.Entries, func(o promotion.TrustEntry) bool { return reflect.DeepEqual(o, e) }) {
		t.Errorf("trust %+v lacks %+v: %v", all, e, err)
	}
	_, err = ops.AddTrust(ctx, promotion.TrustRequest{Role: promotion.RoleApprove, Identity: &sign.Identity{Subject: "x"}})
	want(t, err, promotion.KindInvalid, "issuer")
	left, err := ops.RemoveTrust(ctx, promotion.TrustRequest{Identity: who})
	if err != nil || slices.ContainsFunc(left.Entries, func(o promotion.TrustEntry) bool { return o.Identity != nil }) {
		t.Errorf("what is left %+v: %v", left, err)
	}
	_, err = ops.SetTrustRoot(ctx, promotion.TrustRootRequest{Root: json.RawMessage(`{"mediaType":"nothing"}`)})
	want(t, err, promotion.KindInvalid, "trusted root")
	const empty = `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`
	rooted, err := ops.SetTrustRoot(ctx, promotion.TrustRootRequest{Root: json.RawMessage(empty)})
	if err == nil && string(rooted.Root) != empty || err != nil && promotion.KindOf(err) != promotion.KindInvalid {
		t.Errorf("root %+v: %v", rooted, err)
	}
	if rooted, err = ops.SetTrustRoot(ctx, promotion.TrustRootRequest{}); err != nil || rooted.Root != nil {
		t.Errorf("without a root %+v: %v", rooted, err)
	}
}
