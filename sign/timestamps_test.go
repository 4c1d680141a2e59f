package sign

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"kiln/sign/sigstoretest"
)

// stampWorld is an image, a key whose bundles are stamped, and the trusted
// root that lists the authority.
type stampWorld struct {
	t       *testing.T
	m       *memory
	address string
	root    []byte
	key     *Signer
	stamped *Signer
}

func newStampWorld(t *testing.T) *stampWorld {
	t.Helper()
	services, err := sigstoretest.New()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(services)
	t.Cleanup(server.Close)
	w := &stampWorld{t: t, m: newMemory(), address: server.URL + "/api/v1/timestamp", key: testSigner(t)}
	if w.root, err = services.TrustedRoot(sigstoretest.Timestamps); err != nil {
		t.Fatal(err)
	}
	if w.stamped, err = w.key.WithTimestamps(w.address); err != nil {
		t.Fatal(err)
	}
	return w
}

// verifier believes the key within dates, as it is at now.
func (w *stampWorld) verifier(p Principal, root []byte, now time.Time, admitted func(digest.Digest) (time.Time, bool)) *Verifier {
	w.t.Helper()
	p.Key = w.key.PublicPEM()
	v, err := NewVerifierFor(VerifierConfig{Principals: []Principal{p}, TrustedRoot: root, Now: func() time.Time { return now }, Admitted: admitted})
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// A key's end does not end what a timestamp proves to be older, and nothing
// else outlives it.
func TestDatesByTimestamps(t *testing.T) {
	ctx, w := context.Background(), newStampWorld(t)
	plain, stamped := imageOf("plain"), imageOf("stamped")
	if err := w.key.SignImage(ctx, w.m, shop, plain); err != nil {
		t.Fatal(err)
	}
	if err := w.stamped.signBundle(ctx, w.m, shop, stamped); err != nil {
		t.Fatal(err)
	}
	other, err := sigstoretest.New()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := other.TrustedRoot(sigstoretest.Timestamps)
	if err != nil {
		t.Fatal(err)
	}
	signed := time.Now()
	later := signed.Add(48 * time.Hour)
	day := 24 * time.Hour
	open := Principal{}
	ended := Principal{NotAfter: signed.Add(day)}
	over := Principal{NotAfter: signed.Add(-day)}
	coming := Principal{NotBefore: signed.Add(day)}
	for what, c := range map[string]struct {
		image digest.Digest
		who   Principal
		root  []byte
		now   time.Time
		want  string // of the error; "" if it counts
	}{
		"no dates":                              {plain.Digest, open, nil, later, ""},
		"within its dates":                      {plain.Digest, ended, nil, signed, ""},
		"ended since, unstamped":                {plain.Digest, ended, w.root, later, "nothing says that this was signed before"},
		"ended since, stamped":                  {stamped.Digest, ended, w.root, later, ""},
		"ended since, no root":                  {stamped.Digest, ended, nil, later, "nothing says that this was signed before"},
		"ended since, another authority's root": {stamped.Digest, ended, elsewhere, later, "nothing says that this was signed before"},
		"ended before it was stamped":           {stamped.Digest, over, w.root, later, "had expired"},
		"stamped before it was valid":           {stamped.Digest, coming, w.root, later, "was not valid yet"},
		"not valid yet":                         {plain.Digest, coming, w.root, signed, "is not valid yet"},
		"valid meanwhile, unstamped":            {plain.Digest, coming, w.root, later, ""},
	} {
		v := w.verifier(c.who, c.root, c.now, nil)
		_, err := v.VerifyImage(ctx, w.m, shop, c.image)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case c.want != "" && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

// The ledger's word dates what is unstamped, and only what it names.
func TestDatesByAdmission(t *testing.T) {
	ctx, w := context.Background(), newStampWorld(t)
	image := imageOf("plain")
	if err := w.key.SignImage(ctx, w.m, shop, image); err != nil {
		t.Fatal(err)
	}
	found, err := w.key.Verifier().VerifyImage(ctx, w.m, shop, image.Digest)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	who := Principal{NotAfter: now.Add(-time.Hour)}
	admitted := func(at time.Time, which ...digest.Digest) func(digest.Digest) (time.Time, bool) {
		return func(d digest.Digest) (time.Time, bool) {
			for _, w := range which {
				if w == d {
					return at, true
				}
			}
			return time.Time{}, false
		}
	}
	for _, s := range found {
		v := w.verifier(who, nil, now, admitted(now.Add(-2*time.Hour), s.Digest))
		counted, err := v.VerifyImage(ctx, w.m, shop, image.Digest)
		if err != nil || len(counted) != 1 || counted[0].Digest != s.Digest || counted[0].SignedAt.IsZero() {
			t.Errorf("%s admitted in time: %v %v", s.Layout, counted, err)
		}
		v = w.verifier(who, nil, now, admitted(now, s.Digest))
		if _, err := v.VerifyImage(ctx, w.m, shop, image.Digest); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s admitted after the end: %v", s.Layout, err)
		}
	}
	v := w.verifier(who, nil, now, admitted(now.Add(-2*time.Hour), image.Digest))
	if _, err := v.VerifyImage(ctx, w.m, shop, image.Digest); !errors.Is(err, ErrInvalid) {
		t.Errorf("something else admitted: %v", err)
	}
}

// A timestamp of another signature proves nothing of this one.
func TestTimestampOfSomethingElse(t *testing.T) {
	ctx, w := context.Background(), newStampWorld(t)
	st := Statement{Subject: Subject{Name: shop, Digest: imageOf("x").Digest}, PredicateType: SignaturePredicate}
	take := func() map[string]any {
		content, err := w.stamped.bundle(ctx, st, maxPayload)
		if err != nil {
			t.Fatal(err)
		}
		var b map[string]any
		if err := json.Unmarshal(content, &b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	material := func(b map[string]any) map[string]any { return b["verificationMaterial"].(map[string]any) }
	moved, donor := take(), take()
	material(moved)["timestampVerificationData"] = material(donor)["timestampVerificationData"]
	garbled := take()
	material(garbled)["timestampVerificationData"] = map[string]any{"rfc3161Timestamps": []any{map[string]any{"signedTimestamp": "MIIB"}}}
	now := time.Now()
	v := w.verifier(Principal{NotAfter: now.Add(time.Hour)}, w.root, now.Add(2*time.Hour), nil)
	for what, b := range map[string]map[string]any{"moved": moved, "garbled": garbled} {
		content, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := v.VerifyBundle(content, shop, st.Subject.Digest, SignaturePredicate); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "nothing says") {
			t.Errorf("%s: %v", what, err)
		}
	}
	content, err := json.Marshal(donor)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.VerifyBundle(content, shop, st.Subject.Digest, SignaturePredicate); err != nil {
		t.Errorf("its own: %v", err)
	}
}

// Signing again with an authority dates what an earlier signature left undated.
func TestStampedLater(t *testing.T) {
	ctx, w, image := context.Background(), newStampWorld(t), imageOf("x")
	for range 2 {
		if err := w.key.SignImage(ctx, w.m, shop, image); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := w.stamped.SignImage(ctx, w.m, shop, image); err != nil {
			t.Fatal(err)
		}
	}
	v := w.verifier(Principal{}, w.root, time.Now(), nil)
	found, err := v.VerifyImage(ctx, w.m, shop, image.Digest)
	if err != nil {
		t.Fatal(err)
	}
	var bundles, dated int
	for _, s := range found {
		if s.Layout == LayoutBundle {
			bundles++
			if !s.SignedAt.IsZero() {
				dated++
			}
		}
	}
	if bundles != 2 || dated != 1 {
		t.Errorf("%d bundles, %d of them dated, want 2 and 1", bundles, dated)
	}
}

func TestAuthoritiesThatDoNotStamp(t *testing.T) {
	key := testSigner(t)
	for _, address := range []string{"", "ftp://tsa.example.com", "tsa.example.com", "http://"} {
		if _, err := key.WithTimestamps(address); err == nil {
			t.Errorf("%q is taken for an authority", address)
		}
	}
	done := make(chan struct{})
	answers := map[string]http.HandlerFunc{
		"garbage": says("<html>\x1b[2J"),
		"refusal": refuse(http.StatusTooManyRequests, "later\n\n"),
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				w.Write(make([]byte, 1<<10))
			}
		},
		"silence": func(http.ResponseWriter, *http.Request) { <-done },
	}
	for what, h := range answers {
		server := httptest.NewServer(h)
		s, err := key.WithTimestamps(strings.Replace(server.URL, "http://", "http://me:pass-word@", 1))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if what == "silence" {
			ctx, cancel = context.WithTimeout(context.Background(), time.Second)
		}
		err = s.SignImage(ctx, newMemory(), shop, imageOf("x"))
		cancel()
		if err == nil || strings.Contains(err.Error(), "pass-word") || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s: %v", what, err)
		}
		if what == "silence" {
			close(done)
		}
		server.Close()
	}
}

// Whatever bytes stand where a timestamp should, they date nothing beyond the
// authority's life, and nothing panics.
func FuzzTimestamp(f *testing.F) {
	services, err := sigstoretest.New()
	if err != nil {
		f.Fatal(err)
	}
	server := httptest.NewServer(services)
	f.Cleanup(server.Close)
	root, err := services.TrustedRoot(sigstoretest.Timestamps)
	if err != nil {
		f.Fatal(err)
	}
	key := testSigner(f)
	stamped, err := key.WithTimestamps(server.URL + "/api/v1/timestamp")
	if err != nil {
		f.Fatal(err)
	}
	st := Statement{Subject: Subject{Name: shop, Digest: imageOf("x").Digest}, PredicateType: SignaturePredicate}
	content, err := stamped.bundle(context.Background(), st, maxPayload)
	if err != nil {
		f.Fatal(err)
	}
	b, err := decodeBundle(content)
	if err != nil {
		f.Fatal(err)
	}
	v, err := NewVerifierFor(VerifierConfig{Principals: []Principal{{Key: key.PublicPEM()}}, TrustedRoot: root})
	if err != nil {
		f.Fatal(err)
	}
	start := time.Now()
	slot := b.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()[0]
	if len(v.provenTimes(b)) != 1 {
		f.Fatal("the timestamp itself does not count")
	}
	f.Add(slot.GetSignedTimestamp())
	f.Add([]byte{0x30, 0x80, 0x00, 0x00})
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, der []byte) {
		slot.SignedTimestamp = der
		for _, at := range v.provenTimes(b) {
			if at.Before(start.Add(-time.Hour)) || at.After(start.Add(time.Hour)) {
				t.Errorf("dated %v", at)
			}
		}
	})
}
