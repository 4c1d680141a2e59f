package promotion

import (
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/registry"
)

func TestPromoteThroughTheChannels(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	a := w.baked(shop, "a")
	first := w.to("dev", a)
	if first.Sequence != 1 || first.Previous != "" || first.RecordedKey != w.promote.KeyID() || first.Unchanged {
		t.Errorf("first promotion %+v", first)
	}
	_, err := w.service.Promote(ctx, PromoteRequest{Image: shop, Digest: a, Channel: "prod"})
	e := want(t, err, KindDenied, "never in staging")
	if len(e.Reasons) != 1 || e.Reasons[0].Fix == "" {
		t.Errorf("reasons %+v", e.Reasons)
	}
	w.holds("prod", "")
	w.to("staging", a)
	prod := w.to("prod", a)
	if prod.Sequence != 3 || prod.RecordedKey != "" {
		t.Errorf("third promotion %+v", prod)
	}
	again := w.to("prod", a)
	if !again.Unchanged || again.Record != prod.Record || again.Sequence != 3 {
		t.Errorf("promoting what is there gives %+v, want the record %+v", again, prod)
	}
	// A record is a referrer of its version, and a record of the ledger.
	var records []string
	for d, err := range w.registry.Referrers(ctx, shop, a, RecordArtifactType) {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, string(d.Digest))
	}
	if len(records) != 3 || !slices.Contains(records, string(prod.Record)) {
		t.Errorf("referrers %v lack records", records)
	}
	r, err := w.service.record(ctx, shop, prod.Record)
	if err != nil || r.Reason != "test" || r.By != w.promote.KeyID() || r.Policy == "" || r.Facts == "" || r.PrevInChannel != "" {
		t.Errorf("record %+v: %v", r, err)
	}
	h, err := w.service.History(ctx, HistoryRequest{Image: shop})
	if err != nil || len(h.Entries) != 3 || h.Entries[0].Record != prod.Record || h.Entries[2].Channel != "dev" {
		t.Errorf("history %+v: %v", h, err)
	}
}

func TestPromoteRefusals(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	a, b := w.baked(shop, "a"), w.baked(shop, "b")
	bare := w.image(shop, "bare").Digest
	w.to("dev", a)
	ask := func(s *Service, change func(*PromoteRequest)) error {
		req := PromoteRequest{Image: shop, Digest: b, Channel: "dev"}
		change(&req)
		_, err := s.Promote(ctx, req)
		return err
	}
	for _, tc := range []struct {
		name   string
		change func(*PromoteRequest)
		kind   Kind
		text   string
	}{
		{"image", func(r *PromoteRequest) { r.Image = "../x" }, KindInvalid, "invalid image name"},
		{"digest", func(r *PromoteRequest) { r.Digest = "sha256:../../x" }, KindInvalid, "invalid digest"},
		{"absent digest", func(r *PromoteRequest) { r.Digest = "sha256:" + registryHex }, KindNotFound, "has no version"},
		{"absent image", func(r *PromoteRequest) { r.Image = "acme/none" }, KindNotFound, "has no version"},
		{"channel", func(r *PromoteRequest) { r.Channel = "qa" }, KindNotFound, `no channel "qa"`},
		{"reason", func(r *PromoteRequest) { r.Reason = string(make([]byte, MaxReason+1)) }, KindInvalid, "a reason of"},
		{"expect", func(r *PromoteRequest) { r.Expect = "some" }, KindInvalid, "neither a digest"},
		{"expect none", func(r *PromoteRequest) { r.Expect = ExpectNone }, KindConflict, "it holds " + string(a)},
		{"expect another", func(r *PromoteRequest) { r.Expect = string(b) }, KindConflict, "it holds " + string(a)},
		{"expect of the held", func(r *PromoteRequest) { r.Digest, r.Expect = a, string(b) }, KindConflict, ""},
		{"without evidence", func(r *PromoteRequest) { r.Digest = bare }, KindDenied, "no signature by a key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := want(t, ask(w.service, tc.change), tc.kind, tc.text)
			if tc.kind == KindConflict && e.Current != a {
				t.Errorf("conflict names %q", e.Current)
			}
			w.holds("dev", a)
		})
	}
	nothing := func(*PromoteRequest) {}
	want(t, ask(w.with(func(c *Config) { c.Signer = nil }), nothing), KindDenied, "no promotion key")
	want(t, ask(w.with(func(c *Config) { c.Policy = nil }), nothing), KindDenied, "no policy")
	e := want(t, ask(w.with(func(c *Config) { c.Signer = w.stranger }), nothing), KindDenied, "not trusted to promote")
	if e.Hint == "" {
		t.Error("no hint how to trust a key")
	}
	w.holds("dev", a)
	if err := ask(w.service, func(r *PromoteRequest) { r.Expect = string(a) }); err != nil {
		t.Error(err)
	}
	w.holds("dev", b)
}

const registryHex = "0000000000000000000000000000000000000000000000000000000000000000"

func TestTrust(t *testing.T) {
	w := newWorld(t)
	ctx, s := t.Context(), w.service
	admit := func(role Role, key []byte, image string, first bool) (bool, error) {
		return s.Admit(ctx, role, key, image, "tester", first)
	}
	_, err := admit(RoleBake, w.bake.PublicPEM(), shop, false)
	want(t, err, KindDenied, "not trusted to bake")
	if recorded, err := admit(RoleBake, w.bake.PublicPEM(), shop, true); err != nil || !recorded {
		t.Fatalf("first use: %v, %v", recorded, err)
	}
	if recorded, err := admit(RoleBake, w.bake.PublicPEM(), "acme/other", true); err != nil || recorded {
		t.Fatalf("second use: %v, %v", recorded, err)
	}
	_, err = admit(RoleBake, w.stranger.PublicPEM(), shop, true)
	if e := want(t, err, KindDenied, "not trusted to bake"); !strings.Contains(e.Hint, "kiln trust add") {
		t.Errorf("hint %q", e.Hint)
	}
	if _, err := s.AddTrust(ctx, TrustRequest{Role: RoleBake, Key: string(w.stranger.PublicPEM()), Image: "acme/*"}); err != nil {
		t.Fatal(err)
	}
	for image, kind := range map[string]Kind{shop: "", "acme/deep/er": KindDenied, "other/shop": KindDenied} {
		if _, err := admit(RoleBake, w.stranger.PublicPEM(), image, true); KindOf(err) != kind {
			t.Errorf("%s: %v, want %q", image, err, kind)
		}
	}
	for _, req := range []TrustRequest{
		{Role: "root", Key: string(w.bake.PublicPEM())},
		{Role: RoleBake, Key: "no key"},
		{Role: RoleBake, Key: string(w.bake.PublicPEM()), Image: "acme/["},
		{Role: RoleBake, Key: string(w.bake.PublicPEM()), KeyID: w.stranger.KeyID()},
	} {
		_, err := s.AddTrust(ctx, req)
		want(t, err, KindInvalid, "")
	}
	left, err := s.RemoveTrust(ctx, TrustRequest{KeyID: w.bake.KeyID()})
	if err != nil || len(left.Entries) != 1 {
		t.Fatalf("left %+v: %v", left, err)
	}
	_, err = s.RemoveTrust(ctx, TrustRequest{KeyID: w.bake.KeyID()})
	want(t, err, KindNotFound, "no such entry")
	if _, err = s.RemoveTrust(ctx, TrustRequest{Key: string(w.stranger.PublicPEM())}); err != nil {
		t.Fatal(err)
	}
	// A removed key does not come back by being used.
	_, err = admit(RoleBake, w.bake.PublicPEM(), shop, true)
	want(t, err, KindDenied, "not trusted")
}

// A key that the trust stops listing no longer counts.
func TestPromoteNeedsTheTrustNow(t *testing.T) {
	w := newWorld(t)
	a := w.baked(shop, "a")
	if _, err := w.service.RemoveTrust(t.Context(), TrustRequest{KeyID: w.bake.KeyID(), Role: RoleBake}); err != nil {
		t.Fatal(err)
	}
	_, err := w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: a, Channel: "dev"})
	want(t, err, KindDenied, "no signature by a key that is trusted to bake")
}

func TestEvidenceOfAnotherImageDoesNotCount(t *testing.T) {
	w := newWorld(t)
	w.baked(shop, "a")
	// The same bytes under another name, with the shop's evidence copied.
	other := w.image("acme/other", "a")
	w.sign(w.stranger, "acme/other", other)
	for _, kind := range []string{"https://slsa.dev/provenance/v1", "https://spdx.dev/Document"} {
		w.attest(w.stranger, "acme/other", other, kind, provenanceOf(shop, "app"))
	}
	_, err := w.service.Promote(t.Context(), PromoteRequest{Image: "acme/other", Digest: other.Digest, Channel: "dev"})
	e := want(t, err, KindDenied, "")
	if len(e.Reasons) < 4 {
		t.Errorf("reasons %v", e.Reasons)
	}
}

func TestRollback(t *testing.T) {
	w := newWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	a, b, c := w.image(shop, "a").Digest, w.image(shop, "b").Digest, w.image(shop, "c").Digest
	back := func(req RollbackRequest) (Promotion, error) {
		req.Image, req.Channel = shop, "dev"
		return w.service.Rollback(t.Context(), req)
	}
	_, err := back(RollbackRequest{})
	want(t, err, KindNotFound, "holds nothing")
	w.to("dev", a)
	_, err = back(RollbackRequest{})
	want(t, err, KindNotFound, "nothing to go back to")
	w.to("dev", b)
	w.to("dev", c)
	_, err = back(RollbackRequest{Expect: string(b)})
	want(t, err, KindConflict, "")
	p, err := back(RollbackRequest{Reason: "c is broken"})
	if err != nil || p.Digest != b || p.Previous != c || p.Sequence != 4 {
		t.Fatalf("%+v: %v", p, err)
	}
	if p, err = back(RollbackRequest{}); err != nil || p.Digest != a {
		t.Fatalf("second: %+v: %v", p, err)
	}
	_, err = back(RollbackRequest{})
	want(t, err, KindNotFound, "nothing to go back to")
	_, err = back(RollbackRequest{To: w.image(shop, "d").Digest})
	want(t, err, KindNotFound, "never held")
	if p, err = back(RollbackRequest{To: c}); err != nil || p.Digest != c {
		t.Fatalf("to: %+v: %v", p, err)
	}
	if p, err = back(RollbackRequest{To: c}); err != nil || !p.Unchanged {
		t.Fatalf("to what it holds: %+v: %v", p, err)
	}
	h, err := w.service.History(t.Context(), HistoryRequest{Image: shop, Channel: "dev"})
	if err != nil || len(h.Entries) != 6 || h.Entries[0].Action != ActionRollback || h.Entries[2].Reason != "c is broken" {
		t.Errorf("history %+v: %v", h.Entries, err)
	}
}

func TestRollbackSkipsRevoked(t *testing.T) {
	w := newWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	a, b, c := w.image(shop, "a").Digest, w.image(shop, "b").Digest, w.image(shop, "c").Digest
	for _, d := range []string{string(a), string(b), string(c)} {
		w.to("dev", digestOf(d))
	}
	w.revoke(b)
	p, err := w.service.Rollback(t.Context(), RollbackRequest{Image: shop, Channel: "dev"})
	if err != nil || p.Digest != a {
		t.Fatalf("%+v: %v", p, err)
	}
}

func TestRollbackChecksSignaturesAgain(t *testing.T) {
	w := newWorld(t)
	a, b := w.baked(shop, "a"), w.baked(shop, "b")
	w.to("dev", a)
	w.to("dev", b)
	if _, err := w.service.RemoveTrust(t.Context(), TrustRequest{KeyID: w.bake.KeyID()}); err != nil {
		t.Fatal(err)
	}
	_, err := w.service.Rollback(t.Context(), RollbackRequest{Image: shop, Channel: "dev"})
	want(t, err, KindDenied, "no signature")
	w.holds("dev", b)
}

func TestHistoryPages(t *testing.T) {
	w := newWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	ctx := t.Context()
	_, err := w.service.History(ctx, HistoryRequest{Image: shop})
	want(t, err, KindNotFound, "no image")
	for i := range 7 {
		d := w.image(shop, string(rune('a'+i))).Digest
		w.to("dev", d)
		w.to("staging", d)
	}
	for _, channel := range []string{"", "staging"} {
		for _, indexed := range []bool{true, false} {
			if !indexed {
				w.forgetIndex()
			}
			var all []int64
			req := HistoryRequest{Image: shop, Channel: channel, Limit: 3}
			for {
				h, err := w.service.History(ctx, req)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range h.Entries {
					all = append(all, e.Sequence)
				}
				if req.Cursor = h.Next; h.Next == "" {
					break
				}
			}
			count, step := 14, int64(1)
			if channel != "" {
				count, step = 7, 2
			}
			for i, n := range all {
				if n != 14-int64(i)*step {
					t.Fatalf("%q: sequences %v", channel, all)
				}
			}
			if len(all) != count {
				t.Fatalf("%q: %d entries, want %d", channel, len(all), count)
			}
		}
	}
	for _, cursor := range []string{"x", "0", "15", "-1"} {
		_, err := w.service.History(ctx, HistoryRequest{Image: shop, Cursor: cursor})
		want(t, err, KindInvalid, "invalid cursor")
	}
	_, err = w.service.History(ctx, HistoryRequest{Image: shop, Channel: "staging", Cursor: "13"})
	want(t, err, KindInvalid, "another channel")
}

func TestLists(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	a := w.baked(shop, "a")
	b := w.baked(shop, "b")
	w.to("dev", a)
	w.baked("acme/api", "x")
	v, err := w.service.Versions(ctx, VersionsRequest{Image: shop})
	if err != nil || len(v.Versions) != 2 || v.Versions[0].Digest != b || v.Versions[1].Digest != a {
		t.Fatalf("versions %+v: %v", v, err)
	}
	if got := v.Versions[1]; !slices.Equal(got.Channels, []string{"dev"}) || got.Revision != "0123456789ab" || len(got.Tags) != 1 || got.Created.IsZero() {
		t.Errorf("version %+v", got)
	}
	page, err := w.service.Versions(ctx, VersionsRequest{Image: shop, Limit: 1})
	if err != nil || len(page.Versions) != 1 || page.Next == "" {
		t.Fatalf("page %+v: %v", page, err)
	}
	page, err = w.service.Versions(ctx, VersionsRequest{Image: shop, Limit: 1, Cursor: page.Next})
	if err != nil || len(page.Versions) != 1 || page.Versions[0].Digest != a || page.Next != "" {
		t.Fatalf("second page %+v: %v", page, err)
	}
	images, err := w.service.Images(ctx, ImagesRequest{Limit: 1})
	if err != nil || images.Images[0].Image != "acme/api" || images.Next != "acme/api" {
		t.Fatalf("images %+v: %v", images, err)
	}
	images, err = w.service.Images(ctx, ImagesRequest{Cursor: images.Next})
	if err != nil || len(images.Images) != 1 || images.Images[0].Channels["dev"] != a {
		t.Fatalf("images %+v: %v", images, err)
	}
	channels, err := w.service.Channels(ctx, ChannelsRequest{Image: shop})
	if err != nil || len(channels.Channels) != 3 || channels.Channels[0].Digest != a || channels.Channels[1].PromotedAt != nil {
		t.Fatalf("channels %+v: %v", channels, err)
	}
	_, err = w.service.Channels(ctx, ChannelsRequest{Image: "acme/none"})
	want(t, err, KindNotFound, "no image")
}

func TestChannelTags(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	reg := Channels(w.registry, w.service)
	a := w.baked(shop, "a")
	w.image(shop, "a", "latest", "zebra")
	if _, err := reg.Tag(ctx, shop, "dev"); registry.ErrorCode(err) != registry.CodeManifestUnknown {
		t.Errorf("empty channel: %v", err)
	}
	rec := w.to("dev", a)
	if desc, err := reg.Tag(ctx, shop, "dev"); err != nil || desc.Digest != a || desc.Size == 0 || desc.MediaType == "" {
		t.Errorf("dev is %+v: %v", desc, err)
	}
	var tags []string
	for tag, err := range reg.Tags(ctx, shop, "20261") {
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, tag)
	}
	if !slices.IsSorted(tags) || !slices.Contains(tags, "dev") || !slices.Contains(tags, "zebra") || slices.Contains(tags, "prod") {
		t.Errorf("tags %v", tags)
	}
	_, content, err := w.registry.Manifest(ctx, shop, a)
	if err != nil {
		t.Fatal(err)
	}
	m := registry.Manifest{MediaType: "application/vnd.oci.image.manifest.v1+json", Content: content, Tags: []string{"ok", "prod"}}
	_, err = reg.PushManifest(ctx, shop, m)
	denied(t, err, "kiln promote "+shop+"@"+string(a)+" --to prod")
	if _, err := w.registry.Tag(ctx, shop, "ok"); err == nil {
		t.Error("a refused push moved a tag")
	}
	denied(t, reg.DeleteTag(ctx, shop, "staging"), "is a channel")
	denied(t, reg.DeleteManifest(ctx, shop, a), "channel dev of acme/shop holds")
	denied(t, reg.DeleteManifest(ctx, shop, rec.Record), "record of the ledger")
	w.revoke(a)
	if _, err := reg.Tag(ctx, shop, "dev"); registry.ErrorCode(err) != registry.CodeManifestUnknown || err.Error() == "" {
		t.Errorf("revoked: %v", err)
	}
	m.Tags = []string{"ok"}
	if _, err := reg.PushManifest(ctx, shop, m); err != nil {
		t.Errorf("another tag: %v", err)
	}
}

func TestDecisionsAreKeptAndBounded(t *testing.T) {
	w := newWorld(t)
	bare := w.image(shop, "bare").Digest
	for range MaxDecisions + 5 {
		w.clock.Add(time.Second)
		_, err := w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: bare, Channel: "dev"})
		want(t, err, KindDenied, "")
	}
	n := 0
	for _, err := range w.store.List(t.Context(), "images/acme~shop/decisions/", "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != MaxDecisions {
		t.Errorf("%d decisions are kept, want %d", n, MaxDecisions)
	}
}

// TestPromoteUntagged: content is no version until its tag is set, which a bake
// does last; also when all evidence is there.
func TestPromoteUntagged(t *testing.T) {
	w := newWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	desc := w.stored(shop, "half baked")
	promote := func() error {
		_, err := w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: desc.Digest, Channel: "dev", Reason: "test"})
		return err
	}
	want(t, promote(), KindDenied, "no version of acme/shop")
	w.stored(shop, "half baked", "latest")
	want(t, promote(), KindDenied, "no version of acme/shop")
	w.image(shop, "half baked")
	if err := promote(); err != nil {
		t.Error(err)
	}
}
