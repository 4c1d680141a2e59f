package sign

import (
	"encoding/base64"
	"fmt"
	"testing"

	"kiln/sign/sigstoretest"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"google.golang.org/protobuf/encoding/protojson"
)

// An entry of Rekor's second version has a proof and no time of its own: a
// timestamp must say when.
func TestRekorV2(t *testing.T) {
	virtual, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	img := imageOf("one")
	payload := fmt.Sprintf(`{"_type":%q,"subject":[{"name":%q,"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{"a":1}}`,
		statementType, shop, img.Digest.Encoded(), SPDXPredicate)
	entity, err := virtual.AttestHashedRekordV2(robot, issuer, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	content, err := entity.SignatureContent()
	if err != nil {
		t.Fatal(err)
	}
	verification, err := entity.VerificationContent()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := entity.TlogEntries()
	if err != nil {
		t.Fatal(err)
	}
	stamps, err := entity.Timestamps()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := base64.StdEncoding.DecodeString(content.EnvelopeContent().RawEnvelope().Signatures[0].Sig)
	if err != nil {
		t.Fatal(err)
	}
	b := &protobundle.Bundle{
		MediaType: BundleMediaType,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_Certificate{
				Certificate: &protocommon.X509Certificate{RawBytes: verification.Certificate().Raw},
			},
			TimestampVerificationData: &protobundle.TimestampVerificationData{
				Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: stamps[0]}},
			},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: []byte(payload), PayloadType: payloadType, Signatures: []*protodsse.Signature{{Sig: sig}},
		}},
	}
	b.VerificationMaterial.TlogEntries = append(b.VerificationMaterial.TlogEntries, entries[0].TransparencyLogEntry())
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, virtual.FulcioCertificateAuthorities(), nil,
		virtual.TimestampingAuthorities(), sigstoretest.Named(virtual.RekorLogs()))
	if err != nil {
		t.Fatal(err)
	}
	rootJSON, err := trusted.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifierFor(VerifierConfig{TrustedRoot: rootJSON, Principals: []Principal{{Identity: &Identity{Issuer: issuer, Subject: robot}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, stamped := range []bool{true, false} {
		if !stamped {
			b.VerificationMaterial.TimestampVerificationData = nil
		}
		text, err := protojson.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = v.VerifyBundle(text, shop, img.Digest, SPDXPredicate)
		if (err == nil) != stamped {
			t.Errorf("with a timestamp %v: %v", stamped, err)
		}
	}
}
