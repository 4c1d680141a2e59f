package sign

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"
)

// Whatever the bytes, verification ends with an error that says so, or with
// what the trusted key really signed.

func FuzzEnvelope(f *testing.F) {
	s, d := testSigner(f), imageOf("one").Digest
	good, err := s.SignStatement(context.Background(), channelStatement(d))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"sig":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		st, keyID, err := s.Verifier().VerifyEnvelope(content, ChannelPredicate, d)
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatal(err)
		}
		if err == nil && (keyID != s.KeyID() || string(st.Predicate) != `{"channel":"prod"}`) {
			t.Fatalf("%s verifies as %+v", content, st)
		}
	})
}

func FuzzBundle(f *testing.F) {
	s, d := testSigner(f), imageOf("one").Digest
	st := channelStatement(d)
	st.PredicateType = SPDXPredicate
	good, err := s.bundle(context.Background(), st, maxBundle)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"mediaType":"` + BundleMediaType + `","dsseEnvelope":{}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, keyID, err := s.Verifier().VerifyBundle(content, shop, d, SPDXPredicate)
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatal(err)
		}
		if err == nil && (keyID != s.KeyID() || string(got.Predicate) != `{"channel":"prod"}`) {
			t.Fatalf("%s verifies as %+v", content, got)
		}
	})
}

// FuzzCertificateBundle is FuzzBundle where identities are trusted: nothing but
// the certificate's own statement verifies.
func FuzzCertificateBundle(f *testing.F) {
	store, d := newSigstore(f), imageOf("one").Digest
	s, st := store.signer(robot), channelStatement(d)
	st.PredicateType = SPDXPredicate
	good, err := s.bundle(context.Background(), st, maxBundle)
	if err != nil {
		f.Fatal(err)
	}
	key := testSigner(f)
	keyed, err := key.bundle(context.Background(), st, maxBundle)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(keyed)
	f.Add([]byte(`{"mediaType":"` + BundleMediaType + `","verificationMaterial":{"x509CertificateChain":{"certificates":[{"rawBytes":"AAAA"}]}},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAA"}]}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, who, err := s.Verifier().VerifyBundle(content, shop, d, SPDXPredicate)
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatal(err)
		}
		if err == nil && (who != s.KeyID() || string(got.Predicate) != `{"channel":"prod"}`) {
			t.Fatalf("%s verifies as %+v", content, got)
		}
	})
}

// FuzzSignatureTag fuzzes what cosign's tag layouts keep beside a signature, and
// the envelopes of attestations.
func FuzzSignatureTag(f *testing.F) {
	ctx, store, d := context.Background(), newSigstore(f), imageOf("one").Digest
	s := store.signer(robot)
	payload, err := encodePayload(shop, d)
	if err != nil {
		f.Fatal(err)
	}
	good, err := s.signPayload(ctx, payload)
	if err != nil {
		f.Fatal(err)
	}
	st := channelStatement(d)
	st.PredicateType = SPDXPredicate
	bundle, err := s.bundle(ctx, st, maxBundle)
	if err != nil {
		f.Fatal(err)
	}
	b, err := decodeBundle(bundle)
	if err != nil {
		f.Fatal(err)
	}
	envelope, err := json.Marshal(b.GetDsseEnvelope())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[certificateAnnotation], good[entryAnnotation], good[timestampAnnotation], good[signatureAnnotation], envelope)
	f.Add("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", `{"Payload":{"logID":"00","body":"e30="}}`, `{}`, "AAAA", []byte(`{}`))
	f.Add("", "", "", "", []byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"sig":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, certificate, entry, stamp, signature string, envelope []byte) {
		annotations := map[string]string{certificateAnnotation: certificate, entryAnnotation: entry, timestampAnnotation: stamp}
		sig, err := base64.StdEncoding.DecodeString(signature)
		if err == nil {
			who, err := s.Verifier().payloadSigner(sig, payload, "", annotations)
			if err != nil && !errors.Is(err, ErrInvalid) || err == nil && who.KeyID != s.KeyID() {
				t.Fatalf("signed by %+v, %v", who, err)
			}
		}
		b, err := envelopeAsBundle(envelope, annotations)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		a, err := s.Verifier().attested(b, "", shop, d, SPDXPredicate)
		if err != nil && !errors.Is(err, ErrInvalid) || err == nil && string(a.Predicate) != `{"channel":"prod"}` {
			t.Fatalf("%s attests %+v, %v", envelope, a, err)
		}
	})
}

func FuzzStatement(f *testing.F) {
	d := imageOf("one").Digest
	good, err := channelStatement(d).encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, payload []byte) {
		st, err := decodeStatement(payload, ChannelPredicate, d)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		again, err := st.encode()
		if err != nil {
			t.Fatalf("%s cannot be written again: %v", payload, err)
		}
		if _, err := decodeStatement(again, ChannelPredicate, d); err != nil {
			t.Fatalf("%s becomes %s: %v", payload, again, err)
		}
	})
}

func FuzzSimpleSigning(f *testing.F) {
	d := imageOf("one").Digest
	good, err := encodePayload(shop, d)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, content []byte) {
		if _, err := new(Verifier).checkPayload(content, shop, d); err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatal(err)
		}
	})
}

func FuzzPublicKey(f *testing.F) {
	f.Add(testSigner(f).PublicPEM())
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if _, err := KeyID(content); err != nil && !errors.Is(err, ErrKey) {
			t.Fatal(err)
		}
		if _, err := openPrivate(content, nil); err == nil {
			t.Fatal("a public key opens as a private one")
		}
	})
}
