package sign

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

func channelStatement(d digest.Digest) Statement {
	return Statement{Subject: Subject{shop, d}, PredicateType: ChannelPredicate, Predicate: json.RawMessage(`{"channel":"prod"}`)}
}

func TestEnvelopeRoundTrip(t *testing.T) {
	s, d := testSigner(t), imageOf("one").Digest
	content, err := s.SignStatement(context.Background(), channelStatement(d))
	if err != nil {
		t.Fatal(err)
	}
	st, keyID, err := verifierOf(t, testSigner(t), s).VerifyEnvelope(content, ChannelPredicate, d)
	if err != nil || keyID != s.KeyID() {
		t.Fatalf("%v, key %s", err, keyID)
	}
	if st.Subject != (Subject{shop, d}) || st.PredicateType != ChannelPredicate || string(st.Predicate) != `{"channel":"prod"}` {
		t.Errorf("got %+v", st)
	}
	sha512 := digest.SHA512.FromString("one")
	if content, err = s.SignStatement(context.Background(), channelStatement(sha512)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Verifier().VerifyEnvelope(content, ChannelPredicate, sha512); err != nil {
		t.Errorf("sha512: %v", err)
	}
}

func TestStatementsThatAreNotSigned(t *testing.T) {
	s, d := testSigner(t), imageOf("one").Digest
	cases := map[string]func(*Statement){
		"no image":           func(st *Statement) { st.Subject.Name = "" },
		"no digest":          func(st *Statement) { st.Subject.Digest = "" },
		"no type":            func(st *Statement) { st.PredicateType = "" },
		"no predicate":       func(st *Statement) { st.Predicate = nil },
		"predicate null":     func(st *Statement) { st.Predicate = json.RawMessage("null") },
		"predicate not JSON": func(st *Statement) { st.Predicate = json.RawMessage("{") },
		"predicate too large": func(st *Statement) {
			st.Predicate = json.RawMessage(`{"a":"` + strings.Repeat("a", maxEnvelope) + `"}`)
		},
	}
	for what, change := range cases {
		st := channelStatement(d)
		change(&st)
		if _, err := s.SignStatement(context.Background(), st); err == nil {
			t.Errorf("%s: signed", what)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.SignStatement(ctx, channelStatement(d)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestForgedEnvelopes(t *testing.T) {
	s, d := testSigner(t), imageOf("one").Digest
	v := s.Verifier()
	good, err := s.SignStatement(context.Background(), channelStatement(d))
	if err != nil {
		t.Fatal(err)
	}
	change := func(edit func(*dsse.Envelope)) []byte {
		var e dsse.Envelope
		if err := json.Unmarshal(good, &e); err != nil {
			t.Fatal(err)
		}
		edit(&e)
		content, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	payload, _ := channelStatement(d).encode()
	bare, err := s.sign(context.Background(), payload) // without DSSE's encoding
	if err != nil {
		t.Fatal(err)
	}
	strangers, err := testSigner(t).SignStatement(context.Background(), channelStatement(d))
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string][]byte{
		"empty":            nil,
		"not JSON":         []byte("{"),
		"two documents":    append(append([]byte{}, good...), good...),
		"a stranger's key": strangers,
		"giant":            append(append([]byte{}, good...), make([]byte, maxEnvelope)...),
		"payload type":     change(func(e *dsse.Envelope) { e.PayloadType = "application/json" }),
		"no signature":     change(func(e *dsse.Envelope) { e.Signatures = nil }),
		"endless signatures": change(func(e *dsse.Envelope) {
			for range maxEnvelopeSigs {
				e.Signatures = append(e.Signatures, e.Signatures[0])
			}
		}),
		"empty signature":      change(func(e *dsse.Envelope) { e.Signatures[0].Sig = "" }),
		"signature not base64": change(func(e *dsse.Envelope) { e.Signatures[0].Sig = "!" }),
		"signed without PAE":   change(func(e *dsse.Envelope) { e.Signatures[0].Sig = base64.StdEncoding.EncodeToString(bare) }),
		"payload not base64":   change(func(e *dsse.Envelope) { e.Payload = "!" }),
		"payload of prod for dev": change(func(e *dsse.Envelope) {
			e.Payload = base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(payload), "prod", "dev!", 1)))
		}),
	}
	for what, content := range cases {
		if _, _, err := v.VerifyEnvelope(content, ChannelPredicate, d); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, check := range map[string]func() error{
		"another predicate type": func() error { _, _, err := v.VerifyEnvelope(good, PromotionPredicate, d); return err },
		"no predicate type":      func() error { _, _, err := v.VerifyEnvelope(good, "", d); return err },
		"another digest":         func() error { _, _, err := v.VerifyEnvelope(good, ChannelPredicate, imageOf("two").Digest); return err },
		"no digest":              func() error { _, _, err := v.VerifyEnvelope(good, ChannelPredicate, ""); return err },
		"no key":                 func() error { _, _, err := new(Verifier).VerifyEnvelope(good, ChannelPredicate, d); return err },
	} {
		if err := check(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The key id in an envelope proves nothing; the key that verifies is named.
func TestEnvelopeKeyIDIsIgnored(t *testing.T) {
	s, d := testSigner(t), imageOf("one").Digest
	content, err := s.SignStatement(context.Background(), channelStatement(d))
	if err != nil {
		t.Fatal(err)
	}
	lying := strings.Replace(string(content), s.KeyID(), testSigner(t).KeyID(), 1)
	if _, keyID, err := s.Verifier().VerifyEnvelope([]byte(lying), ChannelPredicate, d); err != nil || keyID != s.KeyID() {
		t.Errorf("key %s, %v", keyID, err)
	}
}
