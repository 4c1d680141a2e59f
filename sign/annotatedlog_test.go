package sign

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"kiln/sign/sigstoretest"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	sigstore "github.com/sigstore/sigstore-go/pkg/sign"
)

// A key that ended: what a log took before counts in cosign's tag layouts, too,
// where nothing but the entry names the key; what it took later does not, nor
// an entry of another signature, nor one whose promise or time was changed.
func TestDatesByAnnotatedLogEntries(t *testing.T) {
	ctx, store, img := context.Background(), newSigstore(t), imageOf("one")
	logged := time.Now().Add(-20 * time.Minute).Truncate(time.Second)
	store.LogTime = func() time.Time { return logged }
	key, err := sigstore.NewEphemeralKeypair(nil)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.GetPublicKeyPem()
	if err != nil {
		t.Fatal(err)
	}
	entered := func(content sigstore.Content) (*protobundle.Bundle, map[string]string) {
		t.Helper()
		b, err := sigstore.Bundle(content, key, sigstore.BundleOptions{Context: ctx, TransparencyLogs: []sigstore.Transparency{
			sigstore.NewRekor(&sigstore.RekorOptions{BaseURL: store.url}),
		}})
		if err != nil {
			t.Fatal(err)
		}
		annotations, err := encodeAnnotations(b.GetVerificationMaterial())
		if err != nil {
			t.Fatal(err)
		}
		return b, annotations
	}
	payload, err := encodePayload(shop, img.Digest)
	if err != nil {
		t.Fatal(err)
	}
	st := Statement{Subject: Subject{shop, img.Digest}, PredicateType: SPDXPredicate, Predicate: json.RawMessage(`{"a":1}`)}
	statement, err := st.encode()
	if err != nil {
		t.Fatal(err)
	}
	signed, signedNotes := entered(&sigstore.PlainData{Data: payload})
	attested, attestedNotes := entered(&sigstore.DSSEData{Data: statement, PayloadType: payloadType})
	envelope, err := json.Marshal(attested.GetDsseEnvelope())
	if err != nil {
		t.Fatal(err)
	}
	changed := func(annotations map[string]string, change func(*entryJSON)) map[string]string {
		var e entryJSON
		if err := json.Unmarshal([]byte(annotations[entryAnnotation]), &e); err != nil {
			t.Fatal(err)
		}
		change(&e)
		content, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{entryAnnotation: string(content)}
	}
	for name, c := range map[string]struct {
		end    time.Time
		notes  func(own, other map[string]string) map[string]string
		accept bool
	}{
		"logged before the end": {logged.Add(time.Minute), func(own, _ map[string]string) map[string]string { return own }, true},
		"logged after the end":  {logged.Add(-time.Minute), func(own, _ map[string]string) map[string]string { return own }, false},
		"no entry":              {logged.Add(time.Minute), func(_, _ map[string]string) map[string]string { return nil }, false},
		"another's entry":       {logged.Add(time.Minute), func(_, other map[string]string) map[string]string { return other }, false},
		"no promise": {logged.Add(time.Minute), func(own, _ map[string]string) map[string]string {
			return changed(own, func(e *entryJSON) { e.SignedEntryTimestamp = nil })
		}, false},
		"an earlier time": {logged.Add(-time.Minute), func(own, _ map[string]string) map[string]string {
			return changed(own, func(e *entryJSON) { e.Payload.IntegratedTime -= 600 })
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := NewVerifierFor(VerifierConfig{
				Principals:  []Principal{{Key: testSigner(t).PublicPEM()}, {Key: []byte(public), NotAfter: c.end}},
				TrustedRoot: store.root(sigstoretest.Log),
			})
			if err != nil {
				t.Fatal(err)
			}
			who, err := v.payloadSigner(signed.GetMessageSignature().GetSignature(), payload, "", c.notes(signedNotes, attestedNotes))
			var at time.Time
			b, attErr := envelopeAsBundle(envelope, c.notes(attestedNotes, signedNotes))
			if attErr == nil {
				var a Attestation
				a, attErr = v.attested(b, "", shop, img.Digest, SPDXPredicate)
				at = a.SignedAt
			}
			if !c.accept {
				if !errors.Is(err, ErrInvalid) || !errors.Is(attErr, ErrInvalid) {
					t.Errorf("signature %+v %v, attestation %v", who, err, attErr)
				}
				return
			}
			if err != nil || attErr != nil || !who.SignedAt.Equal(logged) || !at.Equal(logged) {
				t.Errorf("signature at %s %v, attestation at %s %v; logged at %s", who.SignedAt, err, at, attErr, logged)
			}
		})
	}
}
