package promotion

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"kiln/sign"
)

const (
	issuer = "https://issuer.example.com"
	robot  = "https://ci.example.com/acme/shop/release"
)

func at(day int) *time.Time {
	t := time.Date(2026, 3, day, 0, 0, 0, 0, time.UTC)
	return &t
}

// Whoever a trust does not speak of, for that role, image and channel, may
// nothing.
func TestPrincipals(t *testing.T) {
	keys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	entry := func(req TrustRequest) TrustEntry {
		e, err := newTrustEntry(req, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	key := func(i int) string { return string(keys[i].PublicPEM()) }
	trust := Trust{Schema: TrustSchema, Entries: []TrustEntry{
		entry(TrustRequest{Role: RoleBake, Key: key(0), Image: "acme/*", NotAfter: at(10)}),
		entry(TrustRequest{Role: RoleBake, Key: key(0), Image: "acme/shop", NotBefore: at(20)}),
		entry(TrustRequest{Role: RolePromote, Key: key(1), Channels: []string{"dev", "stag*"}}),
		entry(TrustRequest{Role: RoleApprove, Identity: &sign.Identity{Issuer: issuer, Subject: robot}, Channels: []string{"prod"}}),
	}}
	for _, c := range []struct {
		role           Role
		image, channel string
		want           int
	}{
		{RoleBake, shop, "", 2},
		{RoleBake, shop, "prod", 2},
		{RoleBake, "acme/api", "", 1},
		{RoleBake, "acme/deep/er", "", 0},
		{RoleBake, "", "", 0},
		{RolePromote, "", "dev", 0},
		{RolePromote, shop, "dev", 1},
		{RolePromote, shop, "staging", 1},
		{RolePromote, shop, "prod", 0},
		{RolePromote, shop, "", 1},
		{RoleApprove, shop, "prod", 1},
		{RoleApprove, shop, "dev", 0},
		{"", shop, "", 0},
	} {
		if got := trust.Principals(c.role, c.image, c.channel); len(got) != c.want {
			t.Errorf("%s %s %s: %d, want %d", c.role, c.image, c.channel, len(got), c.want)
		}
	}
	p := trust.Principals(RoleBake, shop, "")
	if !p[0].NotAfter.Equal(*at(10)) || !p[0].NotBefore.IsZero() || !p[1].NotBefore.Equal(*at(20)) {
		t.Errorf("dates %+v", p)
	}
	if got := trust.Keys(RoleApprove, shop); got != nil {
		t.Errorf("an identity became the key %q", got)
	}
	_, err = trust.Verifier(RolePromote, shop, "prod", nil, nil)
	want(t, err, KindDenied, "nobody who may promote acme/shop for channel prod")
	_, err = Trust{}.Verifier(RoleBake, shop, "", nil, nil)
	want(t, err, KindDenied, "nobody who may bake acme/shop")
	_, err = trust.Verifier(RoleApprove, shop, "prod", nil, nil)
	want(t, err, KindInvalid, "trust to approve")
	// An identity that nothing can prove does not stop the keys beside it.
	trust.Entries = append(trust.Entries, entry(TrustRequest{Role: RoleBake, Identity: &sign.Identity{Issuer: issuer, Subject: robot}}))
	if v, err := trust.Verifier(RoleBake, shop, "", nil, nil); err != nil || len(v.KeyIDs()) != 2 {
		t.Errorf("%+v: %v", v, err)
	}
}

// A key is admitted within its dates and for its channels only.
func TestMayPlay(t *testing.T) {
	w := newWorld(t)
	id := w.promote.KeyID()
	add := func(req TrustRequest) {
		t.Helper()
		req.Role, req.Key = RolePromote, string(w.promote.PublicPEM())
		if _, err := w.service.AddTrust(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	add(TrustRequest{Image: "acme/*", Channels: []string{"dev"}, NotBefore: at(5), NotAfter: at(10)})
	trust, err := w.service.Trust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		channel string
		at      time.Time
		want    string
	}{
		{"dev", *at(5), ""},
		{"dev", *at(10), ""},
		{"", *at(7), ""},
		{"dev", at(5).Add(-1), "from 2026-03-05T00:00:00Z on"},
		{"dev", at(10).Add(1), "until 2026-03-10T00:00:00Z"},
		{"prod", *at(7), "for channels [dev], not for channel prod"},
	} {
		kind := KindDenied
		if c.want == "" {
			kind = ""
		}
		want(t, trust.mayPlay(RolePromote, id, shop, c.channel, c.at), kind, c.want)
	}
	want(t, trust.mayPlay(RoleBake, id, shop, "", *at(7)), KindDenied, "not trusted to bake")
	// Another entry of the same key counts on its own.
	add(TrustRequest{Image: shop})
	if trust, err = w.service.Trust(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, trust.mayPlay(RolePromote, id, shop, "prod", *at(20)), "", "")
	want(t, trust.mayPlay(RolePromote, id, "acme/api", "prod", *at(7)), KindDenied, "not for channel prod")
}

// The key of a service moves only the channels that it is listed for.
func TestPromotionKeyOfOneChannel(t *testing.T) {
	w := newWorld(t)
	a := w.baked(shop, "a")
	req := TrustRequest{Role: RolePromote, Key: string(w.promote.PublicPEM()), Channels: []string{"staging"}}
	if _, err := w.service.AddTrust(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	_, err := w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: a, Channel: "dev"})
	if e := want(t, err, KindDenied, "not for channel dev"); e != nil && !strings.HasSuffix(e.Hint, "--channel staging --channel dev") {
		t.Errorf("hint %q", e.Hint)
	}
	req.Channels = []string{"staging", "dev"}
	if _, err := w.service.AddTrust(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	w.to("dev", a)
}

// The same entry again changes what it names, and never gives more by leaving
// something out.
func TestAddTrustAgain(t *testing.T) {
	w := newWorld(t)
	req := TrustRequest{Role: RolePromote, Key: string(w.promote.PublicPEM()), Channels: []string{"dev"}, NotAfter: at(10)}
	first, err := w.service.AddTrust(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Add(time.Hour)
	bare := TrustRequest{Role: RolePromote, Key: req.Key}
	same, err := w.service.AddTrust(t.Context(), bare)
	if err != nil || len(same.Channels) != 1 || !same.NotAfter.Equal(*at(10)) || !same.AddedAt.Equal(first.AddedAt) {
		t.Errorf("again %+v: %v", same, err)
	}
	bare.NotAfter, bare.Channels = at(12), []string{"prod"}
	next, err := w.service.AddTrust(t.Context(), bare)
	if err != nil || next.Channels[0] != "prod" || !next.NotAfter.Equal(*at(12)) {
		t.Errorf("changed %+v: %v", next, err)
	}
	bare.NotBefore = at(13)
	bare.NotAfter = nil
	_, err = w.service.AddTrust(t.Context(), bare)
	want(t, err, KindInvalid, "leave no time")
	trust, err := w.service.Trust(t.Context())
	if err != nil || len(trust.Entries) != 1 || trust.Entries[0].NotBefore != nil {
		t.Errorf("trust %+v: %v", trust, err)
	}
}

func TestTrustRequestsThatMakeNoSense(t *testing.T) {
	w := newWorld(t)
	key := string(w.bake.PublicPEM())
	who := &sign.Identity{Issuer: issuer, Subject: robot}
	for text, req := range map[string]TrustRequest{
		"one key or one identity": {Role: RoleBake, Key: key, Identity: who},
		"trust: ":                 {Role: RoleBake},
		"issuer":                  {Role: RoleBake, Identity: &sign.Identity{Subject: robot}},
		"subject":                 {Role: RoleBake, Identity: &sign.Identity{Issuer: issuer}},
		"subject_regexp":          {Role: RoleBake, Identity: &sign.Identity{Issuer: issuer, SubjectRegexp: "("}},
		"more than 1000 bytes":    {Role: RoleBake, Identity: &sign.Identity{Issuer: issuer, Subject: strings.Repeat("x", 1000)}},
		"promote and approve":     {Role: RoleBake, Key: key, Channels: []string{"dev"}},
		"channel pattern":         {Role: RolePromote, Key: key, Channels: []string{""}},
		"image pattern":           {Role: RolePromote, Key: key, Image: "acme/\n"},
		"not_after":               {Role: RolePromote, Key: key, NotBefore: at(3), NotAfter: at(2)},
		"leave no time":           {Role: RolePromote, Key: key, NotBefore: at(3), NotAfter: at(3)},
	} {
		_, err := w.service.AddTrust(t.Context(), req)
		if text == "one key or one identity" {
			text = "" // which of them speaks is of no matter
		}
		want(t, err, KindInvalid, text)
	}
	_, err := w.service.SetTrustRoot(t.Context(), TrustRootRequest{Root: json.RawMessage(`{"mediaType":"x"}`)})
	want(t, err, KindInvalid, "trusted root")
	_, err = w.service.SetTrustRoot(t.Context(), TrustRootRequest{Root: json.RawMessage(`"` + strings.Repeat("x", maxTrustRoot) + `"`)})
	want(t, err, KindInvalid, "at most")
}

// Identities are listed and removed by what they are, or by their id.
func TestTrustOfIdentities(t *testing.T) {
	w := newWorld(t)
	who := &sign.Identity{Issuer: issuer, SubjectRegexp: "https://ci.example.com/acme/.*"}
	e, err := w.service.AddTrust(t.Context(), TrustRequest{Role: RoleBake, Identity: who, Image: "acme/**"})
	if err != nil || !strings.HasPrefix(e.KeyID, "identity:"+issuer+"#") {
		t.Fatalf("%+v: %v", e, err)
	}
	value, err := json.Marshal(Trust{Schema: TrustSchema, Entries: []TrustEntry{e}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeTrust(value); err != nil {
		t.Errorf("%s: %v", value, err)
	}
	if left, err := w.service.RemoveTrust(t.Context(), TrustRequest{Identity: who}); err != nil || len(left.Entries) != 0 {
		t.Errorf("left %+v: %v", left, err)
	}
	if _, err := w.service.AddTrust(t.Context(), TrustRequest{Role: RoleBake, Identity: who}); err != nil {
		t.Fatal(err)
	}
	if left, err := w.service.RemoveTrust(t.Context(), TrustRequest{KeyID: e.KeyID}); err != nil || len(left.Entries) != 0 {
		t.Errorf("left %+v: %v", left, err)
	}
}

// A trust that an older kiln wrote is read; one with what this kiln does not
// know is refused, as a restriction that is passed over would be none.
func TestDecodeTrust(t *testing.T) {
	keys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	pem, err := json.Marshal(string(keys[0].PublicPEM()))
	if err != nil {
		t.Fatal(err)
	}
	old := `{"schema":"kiln.trust/v1","entries":[{"role":"bake","key":` + string(pem) + `,"key_id":"` + keys[0].KeyID() +
		`","image":"acme/*","added_at":"2026-03-01T12:00:00Z","added_by":"x"}],"closed":["bake"]}`
	trust, err := decodeTrust([]byte(old))
	if err != nil || len(trust.Principals(RoleBake, shop, "")) != 1 {
		t.Fatalf("%+v: %v", trust, err)
	}
	for text, change := range map[string][2]string{
		"unknown field":    {`"image":`, `"only_on":"monday","image":`},
		"unknown schema":   {`trust/v1`, `trust/v2`},
		"is damaged":       {`"bake"`, `"own"`},
		"is not that":      {`"key_id":"sha256:`, `"key_id":"sha256:0`},
		"something":        {`"closed":["bake"]}`, `"closed":["bake"]}{}`},
		"one identity":     {`"image":`, `"identity":{"issuer":"https://x","subject":"y"},"image":`},
		"invalid image":    {`"acme/*"`, `""`},
		"parsing time":     {`2026-03-01T12`, `2026-03-01T99`},
		"channels are for": {`"image":`, `"channels":["dev"],"image":`},
		"leave no time":    {`"image":`, `"not_before":"2026-03-02T00:00:00Z","not_after":"2026-03-02T00:00:00Z","image":`},
	} {
		value := strings.Replace(old, change[0], change[1], 1)
		if value == old {
			t.Fatalf("%s changes nothing", text)
		}
		if _, err := decodeTrust([]byte(value)); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
