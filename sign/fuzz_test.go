package sign

import (
	"context"
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
