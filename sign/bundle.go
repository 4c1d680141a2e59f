package sign

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	sigstore "github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"
)

// BundleMediaType is the media type of a Sigstore bundle v0.3, and the
// artifactType of the referrers that hold one.
const BundleMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// CosignTrustedRoot is a Sigstore trusted root that trusts nothing. Once an
// image has a bundle, cosign 2.6 wants a file with it for --trusted-root before
// it verifies with a key alone and without a network:
//
//	cosign verify --key kiln.pub --private-infrastructure --trusted-root FILE IMAGE
const CosignTrustedRoot = `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`

// bundle signs a statement into a Sigstore bundle of at most limit bytes.
func (s *Signer) bundle(ctx context.Context, st Statement, limit int) ([]byte, error) {
	payload, err := st.encode()
	if err != nil {
		return nil, err
	}
	b, err := s.envelopeBundle(ctx, st, payload)
	if err != nil {
		return nil, err
	}
	content, err := protojson.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	if len(content) > limit {
		return nil, fmt.Errorf("%s about %s: a bundle of %d bytes, at most %d are verified",
			st.PredicateType, st.Subject.Name, len(content), limit)
	}
	return content, nil
}

// envelopeBundle signs the payload of a statement.
func (s *Signer) envelopeBundle(ctx context.Context, st Statement, payload []byte) (*protobundle.Bundle, error) {
	if s.keyless != nil {
		b, err := s.keyless.bundle(ctx, &sigstore.DSSEData{Data: payload, PayloadType: payloadType})
		if err != nil {
			return nil, err
		}
		if _, err := s.own.certified(b, nil); err != nil {
			return nil, fmt.Errorf("%s about %s: what was signed does not verify: %w", st.PredicateType, st.Subject.Name, err)
		}
		return b, nil
	}
	sig, err := s.signDSSE(ctx, payload)
	if err != nil {
		return nil, err
	}
	b := &protobundle.Bundle{
		MediaType: BundleMediaType,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_PublicKey{
				PublicKey: &protocommon.PublicKeyIdentifier{Hint: s.public.hint()},
			},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload:     payload,
			PayloadType: payloadType,
			Signatures:  []*protodsse.Signature{{Sig: sig}},
		}},
	}
	return b, s.stampBundle(ctx, b, sig)
}

// VerifyBundle verifies a Sigstore bundle offline: signed by one of v's
// principals, a statement of predicateType about this image and digest. It
// returns the signer's id (Signed.KeyID). ErrInvalid.
func (v *Verifier) VerifyBundle(bundle []byte, image string, d digest.Digest, predicateType string) (Statement, string, error) {
	a, err := v.VerifyAttestation(bundle, "", image, d, predicateType)
	return a.Statement, a.KeyID, err
}

// VerifyAttestation verifies like VerifyBundle the bundle of the referrer with
// the digest evidence ("" if there is none), of which a ledger record may say
// when it was admitted. ErrInvalid.
func (v *Verifier) VerifyAttestation(bundle []byte, evidence digest.Digest, image string, d digest.Digest, predicateType string) (Attestation, error) {
	var none Attestation
	if err := checkSubject(image, d); err != nil {
		return none, err
	}
	if limit := bundleLimit(predicateType); len(bundle) > limit {
		return none, invalid("bundle: %d bytes, at most %d are read", len(bundle), limit)
	}
	b, err := decodeBundle(bundle)
	if err != nil {
		return none, err
	}
	a, err := v.attested(b, evidence, image, d, predicateType)
	if err != nil {
		return none, err
	}
	a.Bundle = bundle
	return a, nil
}

// attested verifies a parsed bundle.
func (v *Verifier) attested(b *protobundle.Bundle, evidence digest.Digest, image string, d digest.Digest, predicateType string) (Attestation, error) {
	var none Attestation
	signed, err := v.signerOf(b, evidence)
	if err != nil {
		return none, err
	}
	st, err := parseStatement(b.GetDsseEnvelope().GetPayload(), predicateType, d, statementType, oldStatementType)
	if err != nil {
		return none, err
	}
	said := st.Subject.Name
	if err := v.checkName("statement", said, image, predicateType == SignaturePredicate); err != nil {
		return none, err
	}
	if predicateType != SignaturePredicate && !startsObject(st.Predicate) {
		return none, invalid("predicate of %s is not a JSON object", predicateType)
	}
	st.Subject.Name = image
	return Attestation{Statement: st, Signed: signed, Named: said, Digest: evidence}, nil
}

// signerOf finds who signed a bundle.
func (v *Verifier) signerOf(b *protobundle.Bundle, evidence digest.Digest) (Signed, error) {
	switch b.GetVerificationMaterial().GetContent().(type) {
	case *protobundle.VerificationMaterial_PublicKey:
	case *protobundle.VerificationMaterial_Certificate, *protobundle.VerificationMaterial_X509CertificateChain:
		return v.certified(b, nil)
	default:
		return Signed{}, invalid("bundle names no public key and holds no certificate")
	}
	envelope := b.GetDsseEnvelope()
	v.nameKey(b.GetVerificationMaterial(), envelope.GetSignatures()[0].GetSig(), dsse.PAE(payloadType, envelope.GetPayload()))
	at := v.signedAt(b, evidence)
	keyID, err := v.verifyDSSE(envelope.GetSignatures()[0].GetSig(), envelope.GetPayload(), at, b.GetVerificationMaterial().GetPublicKey().GetHint())
	if err != nil {
		return Signed{}, err
	}
	return Signed{KeyID: keyID, SignedAt: at}, nil
}

// decodeBundle parses a bundle with a DSSE envelope that has exactly one
// signature and an in-toto payload.
func decodeBundle(content []byte) (*protobundle.Bundle, error) {
	var b protobundle.Bundle
	if err := protojson.Unmarshal(content, &b); err != nil {
		return nil, invalid("bundle: %v", err)
	}
	if b.GetMediaType() != BundleMediaType {
		return nil, invalid("bundle of media type %q, not %s", b.GetMediaType(), BundleMediaType)
	}
	envelope := b.GetDsseEnvelope()
	if envelope == nil {
		return nil, invalid("bundle holds no DSSE envelope")
	}
	if envelope.GetPayloadType() != payloadType {
		return nil, invalid("bundle of payload type %q, not %s", envelope.GetPayloadType(), payloadType)
	}
	if n := len(envelope.GetSignatures()); n != 1 {
		return nil, invalid("bundle with %d signatures, not one", n)
	}
	return &b, nil
}

// bundleLimit is the size up to which a bundle is read, in bytes.
func bundleLimit(predicateType string) int {
	if predicateType == SignaturePredicate {
		return maxPayload
	}
	return maxBundle
}
