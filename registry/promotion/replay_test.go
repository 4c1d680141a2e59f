package promotion

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/policy"

	"github.com/opencontainers/go-digest"
)

// decisionOf asks for one decision, whole.
func (w *world) decisionOf(record digest.Digest) Decision {
	w.Helper()
	list, err := w.service.Decisions(w.Context(), DecisionsRequest{Image: shop, Record: record})
	if err != nil || len(list.Decisions) != 1 {
		w.Fatalf("%+v, %v", list, err)
	}
	return list.Decisions[0]
}

// replayed is the same decision after a trip over the wire, made again.
func (w *world) replayed(d Decision, change func(*ReplayOptions)) (Replay, error) {
	w.Helper()
	raw, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		w.Fatal(err)
	}
	var again Decision
	if err := json.Unmarshal(raw, &again); err != nil {
		w.Fatal(err)
	}
	t, err := w.service.Trust(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	opts := ReplayOptions{Trust: t, Asked: d.Record}
	if d.Record == "" {
		opts.Asked = d.ID
	}
	change(&opts)
	return ReplayDecision(w.Context(), again, opts)
}

func asAsked(*ReplayOptions) {}

func TestReplay(t *testing.T) {
	w := newWorld(t)
	a := w.baked(shop, "<a&b>")
	p := w.to("dev", a)
	d := w.decisionOf(p.Record)
	if !d.Allow || d.Denied() || d.Digest != a || d.Policy != policy.Default().Digest() || len(d.Source) == 0 || d.Envelope == "" {
		t.Fatalf("decision %+v", d)
	}
	r, err := w.replayed(d, asAsked)
	if err != nil || len(r.Differences) != 0 || !r.Now.Allow || r.SignedBy != w.promote.KeyID() || r.Now.Facts != d.Facts || len(r.Findings) == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	// Another policy on the same facts.
	strict, err := policy.Load(map[string][]byte{"p.rego": []byte("package kiln\nallow := false\ndeny contains {\"rule\": \"frozen\", \"message\": \"nothing moves\", \"fix\": \"wait\"}")})
	if err != nil {
		t.Fatal(err)
	}
	r, err = w.replayed(d, func(o *ReplayOptions) { o.Policy = strict })
	if err != nil || r.Now.Allow || len(r.Differences) != 2 || r.Now.Policy != strict.Digest() {
		t.Errorf("%+v, %v", r, err)
	}
	// A denial has no record, and comes out the same.
	w.clock.Add(time.Second)
	_, err = w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: a, Channel: "prod"})
	want(t, err, KindDenied, "never in staging")
	list, err := w.service.Decisions(t.Context(), DecisionsRequest{Image: shop})
	if err != nil || len(list.Decisions) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	denied := w.decisionOf(list.Decisions[0].ID)
	r, err = w.replayed(denied, asAsked)
	if err != nil || len(r.Differences) != 0 || r.Now.Allow || r.SignedBy != "" || len(r.Now.Reasons) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	// By its own digest an allowed one is found with its record.
	if byID := w.decisionOf(list.Decisions[1].ID); byID.Record != p.Record || byID.Envelope == "" {
		t.Errorf("by its digest: %+v", byID)
	}
}

// A decision that is not what its record says is refused, whoever changed it.
func TestReplayRefuses(t *testing.T) {
	w := newWorld(t)
	a, b := w.baked(shop, "a"), w.baked(shop, "b")
	first := w.decisionOf(w.to("dev", a).Record)
	second := w.decisionOf(w.to("dev", b).Record)
	open := "package kiln\nallow := true\n"
	for name, c := range map[string]struct {
		change func(*Decision)
		opts   func(*ReplayOptions)
		kind   Kind
		says   string
	}{
		"another record was asked for": {opts: func(o *ReplayOptions) { o.Asked = second.Record }, kind: KindVerification, says: "the answer is about"},
		"nothing was asked for":        {opts: func(o *ReplayOptions) { o.Asked = "" }, kind: KindVerification, says: "the answer is about"},
		"another record's bytes":       {change: func(d *Decision) { d.Manifest, d.Envelope = second.Manifest, second.Envelope }, kind: KindVerification, says: "manifest do not match"},
		"another record's envelope":    {change: func(d *Decision) { d.Envelope = second.Envelope }, kind: KindVerification, says: "envelope do not match"},
		"a changed envelope":           {change: func(d *Decision) { d.Envelope += " " }, kind: KindVerification, says: "envelope do not match"},
		"a changed manifest":           {change: func(d *Decision) { d.Manifest += " " }, kind: KindVerification, says: "manifest do not match"},
		"no trust":                     {opts: func(o *ReplayOptions) { o.Trust = Trust{} }, kind: KindVerification, says: "the trust lists nobody who may promote"},
		"the key of a baker": {opts: func(o *ReplayOptions) {
			o.Trust = Trust{Entries: []TrustEntry{{Role: RolePromote, Image: EveryImage, Key: string(w.bake.PublicPEM()), KeyID: w.bake.KeyID()}}}
		}, kind: KindVerification, says: "not signed by a known key"},
		"another store":         {opts: func(o *ReplayOptions) { o.StoreID = "other" }, kind: KindVerification, says: "it is of store"},
		"changed facts":         {change: func(d *Decision) { d.Document = json.RawMessage(strings.Replace(string(d.Document), "app", "base", 1)) }, kind: KindVerification, says: "not those that the decision names"},
		"another's facts":       {change: func(d *Decision) { d.Document = second.Document }, kind: KindVerification, says: "not those that the decision names"},
		"another's facts whole": {change: func(d *Decision) { d.Document, d.Facts = second.Document, second.Facts }, kind: KindVerification, says: "it names the policy"},
		"another policy":        {change: func(d *Decision) { d.Source = map[string]string{"open.rego": open} }, kind: KindVerification, says: "not the one that the decision names"},
		"a policy that is none": {change: func(d *Decision) { d.Source = map[string]string{"open.rego": "package"} }, kind: KindVerification, says: "the policy sha256"},
		"another digest":        {change: func(d *Decision) { d.Digest = b }, kind: KindVerification, says: "another digest"},
		"another image":         {change: func(d *Decision) { d.Image = "acme/toolbox" }, kind: KindVerification, says: "it is about acme/shop"},
		"another channel":       {change: func(d *Decision) { d.Channel = "prod" }, kind: KindVerification, says: "did a promote to dev"},
		"another one's move":    {change: func(d *Decision) { d.By = "ann" }, kind: KindVerification, says: "did a promote"},
		"another time":          {change: func(d *Decision) { d.At = d.At.Add(time.Hour) }, kind: KindVerification, says: "did a promote"},
		"a denial that moved":   {change: func(d *Decision) { d.Allow = false }, kind: KindVerification, says: "that the decision denied"},
		"no facts":              {change: func(d *Decision) { d.Document = nil }, kind: KindNotFound, says: "were not kept"},
		"no policy":             {change: func(d *Decision) { d.Source = nil }, kind: KindNotFound, says: "was not kept"},
	} {
		d := first
		if c.change != nil {
			c.change(&d)
		}
		opts := func(o *ReplayOptions) {
			o.Asked = first.Record
			if c.opts != nil {
				c.opts(o)
			}
		}
		if r, err := w.replayed(d, opts); KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v (%s), want %s with %q\n%+v", name, err, KindOf(err), c.kind, c.says, r.Differences)
		}
	}
	if r, err := w.replayed(first, asAsked); err != nil || len(r.Differences) > 0 {
		t.Errorf("unchanged: %+v, %v", r, err)
	}
}

// What is no record of this ledger is no decision: not one that the head does
// not reach, nor any other manifest.
func TestDecisionsOfOthers(t *testing.T) {
	w := newWorld(t)
	a := w.baked(shop, "a")
	w.to("dev", a)
	st, err := w.service.state(t.Context(), shop)
	if err != nil {
		t.Fatal(err)
	}
	lost := w.service.next(st, move{action: ActionPromote, image: shop, channel: "prod", subject: w.described(a), policy: digest.FromString("p"), facts: digest.FromString("f")})
	lost.StoreID, _ = w.service.StoreID(t.Context())
	for _, sequence := range []int64{st.Sequence, st.Sequence + 1} {
		lost.Sequence, lost.PrevRecord = sequence, st.Head
		if sequence == 1 {
			lost.PrevRecord = ""
		}
		sealed, err := w.service.seal(t.Context(), lost, w.described(a))
		if err == nil {
			err = w.service.put(t.Context(), shop, sealed)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.service.Decisions(t.Context(), DecisionsRequest{Image: shop, Record: sealed.digest})
		want(t, err, KindNotFound, "no decision and no record")
	}
	for _, d := range []digest.Digest{a, digest.FromString("nothing")} {
		_, err := w.service.Decisions(t.Context(), DecisionsRequest{Image: shop, Record: d})
		want(t, err, KindNotFound, "no decision and no record")
	}
	_, err = w.service.Decisions(t.Context(), DecisionsRequest{Image: shop, Record: "sha256:x"})
	want(t, err, KindInvalid, "")
	_, err = w.service.Decisions(t.Context(), DecisionsRequest{Image: "acme/none"})
	want(t, err, KindNotFound, "")
	_, err = w.service.Decisions(t.Context(), DecisionsRequest{Image: shop, Cursor: "../x"})
	want(t, err, KindInvalid, "cursor")
}

// Allowed decisions stay as long as their records, behind any number of
// denials, which are bounded; pages list all that is left, once.
func TestDecisionsStay(t *testing.T) {
	w := newWorld(t)
	a := w.baked(shop, "a")
	p := w.to("dev", a)
	for range MaxDecisions + 3 {
		w.clock.Add(time.Second)
		_, err := w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: a, Channel: "prod"})
		want(t, err, KindDenied, "")
	}
	seen := map[digest.Digest]bool{}
	for cursor := ""; ; {
		page, err := w.service.Decisions(t.Context(), DecisionsRequest{Image: shop, Limit: 70, Cursor: cursor})
		if err != nil || len(page.Decisions) > 70 {
			t.Fatalf("%d, %v", len(page.Decisions), err)
		}
		for _, d := range page.Decisions {
			if seen[d.ID] || d.Record != "" {
				t.Errorf("listed %+v", d)
			}
			seen[d.ID] = true
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if len(seen) != MaxDecisions {
		t.Errorf("listed %d, want %d", len(seen), MaxDecisions)
	}
	r, err := w.replayed(w.decisionOf(p.Record), asAsked)
	if err != nil || len(r.Differences) != 0 || !r.Now.Allow {
		t.Errorf("%+v, %v", r, err)
	}
}

// A promotion whose facts cannot be kept does not happen: an auditor could not
// make it again.
func TestNoPromotionWithoutItsFacts(t *testing.T) {
	w := newWorld(t)
	a := w.baked(shop, "a")
	for _, part := range []string{"policies/", "/decided/"} {
		s := w.with(func(c *Config) { c.Store = &unkept{Store: w.store, part: part} })
		if _, err := s.Promote(t.Context(), PromoteRequest{Image: shop, Digest: a, Channel: "dev"}); err == nil || !strings.Contains(err.Error(), "no room") {
			t.Errorf("without %s: %v", part, err)
		}
		w.holds("dev", "")
	}
	s := w.with(func(c *Config) { c.Store = &unkept{Store: w.store, part: "/decisions/"} })
	p, err := s.Promote(t.Context(), PromoteRequest{Image: shop, Digest: a, Channel: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := w.replayed(w.decisionOf(p.Record), asAsked); err != nil || len(r.Differences) != 0 {
		t.Errorf("a decision that is only in its record: %+v, %v", r, err)
	}
}

// Check writes nothing and says what Promote says.
func TestCheckIsWhatPromoteSays(t *testing.T) {
	w := newWorld(t)
	a, bare := w.baked(shop, "a"), w.image(shop, "bare").Digest
	untagged := w.stored(shop, "untagged").Digest
	for _, c := range []struct {
		digest  digest.Digest
		channel string
	}{{a, "dev"}, {a, "staging"}, {bare, "dev"}, {untagged, "dev"}} {
		before := w.snapshot()
		check, err := w.service.Check(t.Context(), CheckRequest{Image: shop, Digest: c.digest, Channel: c.channel})
		if err != nil {
			t.Fatal(err)
		}
		if after := w.snapshot(); after != before {
			t.Errorf("a check wrote:\n%s\nwas\n%s", after, before)
		}
		_, err = w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: c.digest, Channel: c.channel})
		if check.Allow != (err == nil) {
			t.Errorf("%s to %s: checked %+v, promoted %v", c.digest, c.channel, check, err)
		}
		e, _ := err.(*Error)
		if e == nil {
			continue
		}
		for _, r := range e.Reasons {
			found := false
			for _, f := range check.Findings {
				found = found || !f.OK && f.Rule == r.Rule && f.Fact == r.Message && f.Fix == r.Fix
			}
			if !found {
				t.Errorf("%s to %s: the check does not find %+v in %+v", c.digest, c.channel, r, check.Findings)
			}
		}
	}
}

// snapshot lists all that the store holds.
func (w *world) snapshot() string {
	w.Helper()
	var b strings.Builder
	for info, err := range w.store.List(w.Context(), "", "") {
		if err != nil {
			w.Fatal(err)
		}
		fmt.Fprintln(&b, info.Key, info.Size)
	}
	return b.String()
}

// What a policy allows and something else refuses leaves nothing behind for
// good, however often it is tried, and can be replayed all the same.
func TestRefusedMovesFillNoStore(t *testing.T) {
	w := openWorld(t)
	untagged := w.stored(shop, "no version").Digest
	revoked := w.bakedOn(shop, "revoked")
	w.revokeOf(RevokeRequest{Image: shop, Digest: revoked})
	for _, d := range []digest.Digest{untagged, revoked} {
		for range 3 {
			w.clock.Add(time.Second)
			_, err := w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: d, Channel: "dev"})
			want(t, err, KindDenied, "")
		}
	}
	for info, err := range w.store.List(t.Context(), decidedKey(shop, ""), "") {
		t.Errorf("kept for good: %s, %v", info.Key, err)
	}
	page, err := w.service.Decisions(t.Context(), DecisionsRequest{Image: shop})
	if err != nil || len(page.Decisions) != 6 {
		t.Fatalf("%+v, %v", page, err)
	}
	d := page.Decisions[0]
	if r, err := w.replayed(w.decisionOf(d.ID), asAsked); err != nil || !r.Now.Allow || len(r.Differences) != 0 {
		t.Errorf("replay: %+v, %v", r, err)
	}
}

// A policy that is put in the place of another decides from then on; what the
// other decided can be made again with it.
func TestSetPolicy(t *testing.T) {
	w := openWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	a := w.bakedOn(shop, "a")
	p, err := w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: a, Channel: "prod"})
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Add(time.Second)
	w.service.SetPolicy(policy.Default())
	b := w.bakedOn(shop, "b")
	_, err = w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: b, Channel: "prod"})
	if e := want(t, err, KindDenied, "is denied"); !slices.ContainsFunc(e.Reasons, func(r Reason) bool { return r.Rule == "order" }) {
		t.Errorf("%+v", e.Reasons)
	}
	c, err := w.service.Check(t.Context(), CheckRequest{Image: shop, Digest: b, Channel: "prod"})
	if err != nil || c.Allow || c.Policy != policy.Default().Digest() {
		t.Errorf("%+v: %v", c, err)
	}
	if r, err := w.replayed(w.decisionOf(p.Record), func(*ReplayOptions) {}); err != nil || !r.Now.Allow || r.Now.Policy != w.open().Digest() {
		t.Errorf("%+v: %v", r, err)
	}
	w.service.SetPolicy(nil)
	_, err = w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: b, Channel: "dev"})
	want(t, err, KindDenied, "no policy")
}
