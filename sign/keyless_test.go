package sign

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kiln/sign/sigstoretest"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	issuer = "https://ci.example.com"
	robot  = "release@acme.example.com"
)

// testSigstore is a Sigstore on the loopback.
type testSigstore struct {
	*sigstoretest.Sigstore
	t   testing.TB
	url string
}

func newSigstore(t testing.TB) *testSigstore {
	t.Helper()
	s, err := sigstoretest.New()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return &testSigstore{s, t, server.URL}
}

func (s *testSigstore) root(parts ...sigstoretest.Part) []byte {
	s.t.Helper()
	content, err := s.TrustedRoot(parts...)
	if err != nil {
		s.t.Fatal(err)
	}
	return content
}

// signer signs as who, with log entries and timestamps.
func (s *testSigstore) signer(who string) *Signer {
	s.t.Helper()
	signer, err := s.trySigner(who, s.root(sigstoretest.Log, sigstoretest.Timestamps))
	if err != nil {
		s.t.Fatal(err)
	}
	return signer
}

func (s *testSigstore) trySigner(who string, root []byte) (*Signer, error) {
	return NewKeylessSigner(context.Background(), KeylessConfig{
		FulcioURL: s.url, RekorURL: s.url, TimestampURL: s.url + "/api/v1/timestamp", TrustedRoot: root,
		Token: func(context.Context) (string, error) { return sigstoretest.Token(issuer, who) },
	})
}

func (s *testSigstore) verifier(root []byte, who ...Identity) *Verifier {
	s.t.Helper()
	cfg := VerifierConfig{TrustedRoot: root}
	for i := range who {
		cfg.Principals = append(cfg.Principals, Principal{Identity: &who[i]})
	}
	v, err := NewVerifierFor(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

func TestKeylessInBothLayouts(t *testing.T) {
	ctx, ev, store, img := context.Background(), newMemory(), newSigstore(t), imageOf("one")
	s := store.signer(robot)
	for range 2 { // the second time adds nothing
		if err := s.SignImage(ctx, ev, shop, img); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Attest(ctx, ev, shop, img, SPDXPredicate, map[string]string{"spdxVersion": "SPDX-2.3"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(ev.refs[at(shop, img.Digest.String())]); n != 3 {
		t.Errorf("%d referrers, want two bundles and the signature manifest", n)
	}
	exact := Identity{Issuer: issuer, Subject: robot}
	for _, c := range []struct {
		name   string
		root   []sigstoretest.Part
		who    Identity
		accept bool
	}{
		{"log and timestamp", []sigstoretest.Part{sigstoretest.Log, sigstoretest.Timestamps}, exact, true},
		{"log alone", []sigstoretest.Part{sigstoretest.Log}, exact, true},
		{"timestamp alone", []sigstoretest.Part{sigstoretest.Timestamps}, exact, true},
		{"a certificate log is demanded", []sigstoretest.Part{sigstoretest.Log, sigstoretest.CertificateLog}, exact, false},
		{"a pattern", []sigstoretest.Part{sigstoretest.Log}, Identity{Issuer: issuer, SubjectRegexp: `.*@acme\.example\.com`}, true},
		{"a pattern of a part", []sigstoretest.Part{sigstoretest.Log}, Identity{Issuer: issuer, SubjectRegexp: `acme\.example\.com`}, false},
		{"a pattern of the beginning", []sigstoretest.Part{sigstoretest.Log}, Identity{Issuer: issuer, SubjectRegexp: `release@acme`}, false},
		{"another subject", []sigstoretest.Part{sigstoretest.Log}, Identity{Issuer: issuer, Subject: "else@acme.example.com"}, false},
		{"another issuer", []sigstoretest.Part{sigstoretest.Log}, Identity{Issuer: "https://evil.example.com", Subject: robot}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := store.verifier(store.root(c.root...), c.who)
			got, err := v.VerifyImage(ctx, ev, shop, img.Digest)
			atts, attErr := v.Attestations(ctx, ev, shop, img.Digest, SPDXPredicate)
			if !c.accept {
				if !errors.Is(err, ErrInvalid) || !errors.Is(attErr, ErrInvalid) {
					t.Errorf("signatures %v, attestations %v", err, attErr)
				}
				return
			}
			if err != nil || attErr != nil || len(got) != 2 || len(atts) != 1 {
				t.Fatalf("%d signatures: %v; %d attestations: %v", len(got), err, len(atts), attErr)
			}
			for _, signed := range []Signed{got[0].Signed, got[1].Signed, atts[0].Signed} {
				if signed.Identity == nil || *signed.Identity != exact || signed.KeyID != "identity:"+issuer+"#"+robot {
					t.Errorf("signed by %+v (%s)", signed.Identity, signed.KeyID)
				}
				if since := time.Since(signed.SignedAt); since < -time.Minute || since > time.Minute {
					t.Errorf("signed at %s", signed.SignedAt)
				}
			}
		})
	}
}

func TestIdentitiesAreNeverEmpty(t *testing.T) {
	store := newSigstore(t)
	root := store.root(sigstoretest.Log)
	full := Principal{Identity: &Identity{Issuer: issuer, Subject: robot}}
	for name, cfg := range map[string]VerifierConfig{
		"nobody":         {TrustedRoot: root},
		"no issuer":      {TrustedRoot: root, Principals: []Principal{{Identity: &Identity{Subject: robot}}}},
		"a fragment":     {TrustedRoot: root, Principals: []Principal{{Identity: &Identity{Issuer: issuer + "#x", Subject: robot}}}},
		"no subject":     {TrustedRoot: root, Principals: []Principal{full, {Identity: &Identity{Issuer: issuer}}}},
		"two subjects":   {TrustedRoot: root, Principals: []Principal{{Identity: &Identity{issuer, robot, ".*"}}}},
		"half a pattern": {TrustedRoot: root, Principals: []Principal{{Identity: &Identity{Issuer: issuer, SubjectRegexp: "a)|(?:b"}}}},
		"zero principal": {TrustedRoot: root, Principals: []Principal{{}}},
		"key and who":    {TrustedRoot: root, Principals: []Principal{{Key: testSigner(t).PublicPEM(), Identity: full.Identity}}},
		"no root":        {Principals: []Principal{full}},
		"empty root":     {TrustedRoot: []byte(CosignTrustedRoot), Principals: []Principal{full}},
		"no time":        {TrustedRoot: store.root(), Principals: []Principal{full}},
		"not a root":     {TrustedRoot: []byte("{"), Principals: []Principal{full}},
	} {
		if v, err := NewVerifierFor(cfg); err == nil {
			t.Errorf("%s: a verifier that knows %d identities", name, len(v.identities))
		}
	}
}

// keylessBundle is a signature bundle as JSON, changed.
func keylessBundle(t *testing.T, s *Signer, img ocispec.Descriptor, change func(bundle map[string]any)) []byte {
	t.Helper()
	st := Statement{Subject: Subject{Name: shop, Digest: img.Digest}, PredicateType: SignaturePredicate}
	content, err := s.bundle(context.Background(), st, maxPayload)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(content, &object); err != nil {
		t.Fatal(err)
	}
	change(object)
	if content, err = json.Marshal(object); err != nil {
		t.Fatal(err)
	}
	return content
}

// FAULTS 31: a valid log entry, timestamp or certificate of something else.
func TestProofsOfAnotherArtifact(t *testing.T) {
	store, img, other := newSigstore(t), imageOf("one"), imageOf("two")
	s, stranger, elsewhere := store.signer(robot), store.signer("mallory@example.com"), newSigstore(t).signer(robot)
	take := func(from *Signer, of ocispec.Descriptor, field string) func(map[string]any) {
		return func(b map[string]any) {
			keylessBundle(t, from, of, func(donor map[string]any) {
				b["verificationMaterial"].(map[string]any)[field] = donor["verificationMaterial"].(map[string]any)[field]
			})
		}
	}
	cut := func(field string) func(map[string]any) {
		return func(b map[string]any) { delete(b["verificationMaterial"].(map[string]any), field) }
	}
	entry := func(change func(map[string]any)) func(map[string]any) {
		return func(b map[string]any) {
			change(b["verificationMaterial"].(map[string]any)["tlogEntries"].([]any)[0].(map[string]any))
		}
	}
	all := store.verifier(store.root(sigstoretest.Log, sigstoretest.Timestamps), Identity{Issuer: issuer, Subject: robot})
	stamps := store.verifier(store.root(sigstoretest.Timestamps), Identity{Issuer: issuer, Subject: robot})
	for _, c := range []struct {
		name   string
		v      *Verifier
		change func(map[string]any)
		want   string // "" is accepted
	}{
		{"as it is", all, func(map[string]any) {}, ""},
		{"another artifact's log entry", all, take(s, other, "tlogEntries"), "log"},
		{"another log's entry", all, take(elsewhere, img, "tlogEntries"), "log"},
		{"no log entry", all, cut("tlogEntries"), "log"},
		{"another artifact's timestamp", stamps, take(s, other, "timestampVerificationData"), "timestamp"},
		{"another authority's timestamp", stamps, take(elsewhere, img, "timestampVerificationData"), "timestamp"},
		{"no timestamp", stamps, cut("timestampVerificationData"), "timestamp"},
		{"a stranger's certificate", all, take(stranger, img, "certificate"), "certificate"},
		{"another issuer's certificate", stamps, take(elsewhere, img, "certificate"), "certificate"},
		{"another time of the log", all, entry(func(e map[string]any) { e["integratedTime"] = "1" }), "log"},
		{"neither promise nor proof", all, entry(func(e map[string]any) { delete(e, "inclusionPromise"); delete(e, "inclusionProof") }), "inclusion"},
		{"two entries that are one", all, func(b map[string]any) {
			m := b["verificationMaterial"].(map[string]any)
			m["tlogEntries"] = append(m["tlogEntries"].([]any), m["tlogEntries"].([]any)...)
		}, "duplicate"},
		{"endless entries", all, func(b map[string]any) {
			m := b["verificationMaterial"].(map[string]any)
			for range 6 {
				m["tlogEntries"] = append(m["tlogEntries"].([]any), m["tlogEntries"].([]any)...)
			}
		}, "at most"},
		{"a payload about another digest", all, func(b map[string]any) {
			keylessBundle(t, s, other, func(donor map[string]any) { maps.Copy(b, donor) })
		}, "another digest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			content := keylessBundle(t, s, img, c.change)
			_, _, err := c.v.VerifyBundle(content, shop, img.Digest, SignaturePredicate)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

// FAULTS 31, in the tag layout: cosign keeps the proofs in annotations.
func TestAnnotatedProofsOfAnotherArtifact(t *testing.T) {
	ctx, store, img := context.Background(), newSigstore(t), imageOf("one")
	s := store.signer(robot)
	v := store.verifier(store.root(sigstoretest.Log), Identity{Issuer: issuer, Subject: robot})
	payload, err := encodePayload(shop, img.Digest)
	if err != nil {
		t.Fatal(err)
	}
	own, err := s.signPayload(ctx, payload)
	if err != nil {
		t.Fatal(err)
	}
	donor, err := s.signPayload(ctx, []byte("something else"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", signatureAnnotation, entryAnnotation, certificateAnnotation} {
		mixed := maps.Clone(own)
		if name != "" {
			mixed[name] = donor[name]
		}
		if name == certificateAnnotation { // one certificate serves both
			mixed[name] = strings.Replace(own[name], "M", "N", 1)
		}
		ev := newMemory()
		layer, err := pushBlob(ctx, ev, shop, simpleSigningMediaType, payload)
		if err != nil {
			t.Fatal(err)
		}
		layer.Annotations = mixed
		if err := signatureLayout().push(ctx, ev, shop, img, nil, []ocispec.Descriptor{layer}); err != nil {
			t.Fatal(err)
		}
		_, err = v.VerifyImage(ctx, ev, shop, img.Digest)
		if name == "" && err != nil || name != "" && !errors.Is(err, ErrInvalid) {
			t.Errorf("%q replaced: %v", name, err)
		}
	}
}

// A key that is trusted goes on to count where somebody annotates a certificate.
func TestCertificateBesideAKey(t *testing.T) {
	ctx, store, key := context.Background(), newSigstore(t), testSigner(t)
	payload, err := encodePayload(shop, imageOf("one").Digest)
	if err != nil {
		t.Fatal(err)
	}
	annotations, err := store.signer(robot).signPayload(ctx, payload)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := key.sign(ctx, payload)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := key.Verifier().payloadSigner(sig, payload, "", annotations); err != nil || got.KeyID != key.KeyID() || got.Identity != nil || !got.SignedAt.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	v := store.verifier(store.root(sigstoretest.Log), Identity{Issuer: issuer, Subject: robot})
	if got, err := v.payloadSigner(sig, payload, "", annotations); !errors.Is(err, ErrInvalid) {
		t.Errorf("the key's signature under the certificate's name: %+v, %v", got, err)
	}
}

// A certificate that had expired when the log took the entry proves nothing.
func TestCertificateUsedTooLate(t *testing.T) {
	store := newSigstore(t)
	store.LogTime = func() time.Time { return time.Now().Add(30 * time.Minute) }
	s, err := store.trySigner(robot, store.root(sigstoretest.Log))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SignImage(context.Background(), newMemory(), shop, imageOf("one")); !errors.Is(err, ErrInvalid) {
		t.Errorf("signed: %v", err)
	}
}

// A certificate that names others beside the trusted subject is nobody's.
func TestCertificateOfSeveralSubjects(t *testing.T) {
	store := newSigstore(t)
	s := store.signer(robot)
	store.AlsoNamed = []string{"else@acme.example.com"}
	s.keyless.latest = nil // asks for another one
	if err := s.SignImage(context.Background(), newMemory(), shop, imageOf("one")); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "2 subjects") {
		t.Errorf("signed: %v", err)
	}
}

func TestIdentityWithinDates(t *testing.T) {
	ctx, ev, store, img := context.Background(), newMemory(), newSigstore(t), imageOf("one")
	if err := store.signer(robot).SignImage(ctx, ev, shop, img); err != nil {
		t.Fatal(err)
	}
	who, now := &Identity{Issuer: issuer, Subject: robot}, time.Now()
	for _, c := range []struct {
		name          string
		before, after time.Time
		accept        bool
	}{
		{"within", now.Add(-time.Hour), now.Add(time.Hour), true},
		{"not yet", now.Add(time.Hour), time.Time{}, false},
		{"no more", time.Time{}, now.Add(-time.Hour), false},
	} {
		v, err := NewVerifierFor(VerifierConfig{TrustedRoot: store.root(sigstoretest.Log),
			Principals: []Principal{{Identity: who, NotBefore: c.before, NotAfter: c.after}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = v.VerifyImage(ctx, ev, shop, img.Digest); (err == nil) != c.accept {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestKeylessSignsNoRecords(t *testing.T) {
	s := newSigstore(t).signer(robot)
	if _, err := s.SignStatement(context.Background(), channelStatement(imageOf("one").Digest)); err == nil || !strings.Contains(err.Error(), "need a key") {
		t.Error(err)
	}
	if s.PublicPEM() != nil || s.Principal().Identity == nil {
		t.Error("a keyless signer that has a key")
	}
}
