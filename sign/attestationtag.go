package sign

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
)

// The tag layout of cosign's attestations: layers that are DSSE envelopes.
const (
	envelopeMediaType = "application/vnd.dsse.envelope.v1+json"
	// typeAnnotation says of which type an attestation is, and proves nothing.
	typeAnnotation = "predicateType"
)

// tagAttestations verifies what lies under the attestation tag, adding what
// does not count to rejected.
func (v *Verifier) tagAttestations(ctx context.Context, r Reader, image string, d digest.Digest, predicateType string, rejected *rejections) ([]Attestation, error) {
	m, manifest, err := attestationLayout().read(ctx, r, image, d)
	if err != nil {
		if rejected.add(err) {
			return nil, nil
		}
		return nil, err
	}
	if m == nil {
		return nil, nil
	}
	var found []Attestation
	for _, layer := range m.Layers {
		if said := layer.Annotations[typeAnnotation]; said != "" && said != predicateType {
			continue
		}
		a, err := v.tagAttestation(ctx, r, image, d, manifest, layer, predicateType)
		switch {
		case err == nil:
			found = append(found, a)
		case !rejected.add(fmt.Errorf("attestation %s: %w", layer.Digest, err)):
			return nil, err
		}
	}
	return found, nil
}

// tagAttestation verifies one layer of the attestation manifest, as the bundle
// that its envelope and annotations make.
func (v *Verifier) tagAttestation(ctx context.Context, r Reader, image string, d, manifest digest.Digest, layer ocispec.Descriptor, predicateType string) (Attestation, error) {
	if layer.MediaType != envelopeMediaType {
		return Attestation{}, invalid("attestation of media type %q, not %s", layer.MediaType, envelopeMediaType)
	}
	content, err := readBlob(ctx, r, image, layer, maxBundle)
	if err != nil {
		return Attestation{}, err
	}
	b, err := envelopeAsBundle(content, layer.Annotations)
	if err != nil {
		return Attestation{}, err
	}
	return v.attested(b, manifest, image, d, predicateType)
}

// envelopeAsBundle makes a bundle of an envelope with one signature and what
// cosign annotates beside it.
func envelopeAsBundle(content []byte, annotations map[string]string) (*protobundle.Bundle, error) {
	var e dsse.Envelope
	if err := json.Unmarshal(content, &e); err != nil {
		return nil, invalid("envelope: %v", err)
	}
	if err := unambiguous("envelope", content, true); err != nil {
		return nil, err
	}
	if e.PayloadType != payloadType {
		return nil, invalid("envelope of payload type %q, not %s", e.PayloadType, payloadType)
	}
	if n := len(e.Signatures); n != 1 {
		return nil, invalid("envelope with %d signatures, not one", n)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		return nil, invalid("envelope: payload: %v", err)
	}
	sig, err := base64.StdEncoding.DecodeString(e.Signatures[0].Sig)
	if err != nil {
		return nil, invalid("envelope: signature: %v", err)
	}
	material, err := decodeAnnotations(annotations)
	if err != nil {
		return nil, err
	}
	return &protobundle.Bundle{
		MediaType:            annotatedMediaType,
		VerificationMaterial: material,
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: payload, PayloadType: payloadType, Signatures: []*protodsse.Signature{{Sig: sig}},
		}},
	}, nil
}

// AttachTag puts an attestation that s made, the referrer that Attest returned,
// under cosign's attestation tag as well (sha256-<hex>.att), for tools that
// know no bundles; those that are there stay, also when others add some at the
// same time.
func (s *Signer) AttachTag(ctx context.Context, ev Evidence, image string, subject ocispec.Descriptor, predicateType string, referrer digest.Digest) error {
	a, err := s.own.attestation(ctx, ev, image, subject.Digest, predicateType, referrer)
	if err != nil {
		return fmt.Errorf("attest %s@%s: %w", image, subject.Digest, err)
	}
	b, err := decodeBundle(a.Bundle)
	if err != nil {
		return err
	}
	err = attestationLayout().add(ctx, ev, image, subject, func([]ocispec.Descriptor) (ocispec.Descriptor, error) {
		return pushEnvelope(ctx, ev, image, predicateType, b)
	})
	if err != nil {
		return fmt.Errorf("attest %s@%s: %w", image, subject.Digest, err)
	}
	return nil
}

// pushEnvelope stores a bundle's envelope as a layer of the tag layout.
func pushEnvelope(ctx context.Context, ev Evidence, image, predicateType string, b *protobundle.Bundle) (ocispec.Descriptor, error) {
	var none ocispec.Descriptor
	annotations, err := encodeAnnotations(b.GetVerificationMaterial())
	if err != nil {
		return none, err
	}
	// Here cosign's timestamps are of the whole envelope, not of its signature.
	delete(annotations, timestampAnnotation)
	if annotations[certificateAnnotation] != "" && annotations[entryAnnotation] == "" {
		return none, errors.New("an attestation with a certificate needs a log entry to lie under cosign's tag")
	}
	annotations[signatureAnnotation], annotations[typeAnnotation] = "", predicateType
	// The bytes that Rekor was given: its entry has their hash.
	content, err := json.Marshal(b.GetDsseEnvelope())
	if err != nil {
		return none, err
	}
	layer, err := pushBlob(ctx, ev, image, envelopeMediaType, content)
	layer.Annotations = annotations
	return layer, err
}
