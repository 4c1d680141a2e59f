package sign

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	sigstore "github.com/sigstore/sigstore-go/pkg/sign"
)

// tagSignature verifies one layer of the signature manifest: by a key, or by
// the certificate in its annotations.
func (v *Verifier) tagSignature(ctx context.Context, r Reader, image string, d, manifest digest.Digest, layer ocispec.Descriptor) (Signature, error) {
	var none Signature
	if layer.MediaType != simpleSigningMediaType {
		return none, invalid("signature of media type %q, not %s", layer.MediaType, simpleSigningMediaType)
	}
	sig, err := base64.StdEncoding.DecodeString(layer.Annotations[signatureAnnotation])
	if err != nil {
		return none, invalid("signature annotation: %v", err)
	}
	content, err := readBlob(ctx, r, image, layer, maxPayload)
	if err != nil {
		return none, fmt.Errorf("signature payload: %w", err)
	}
	signed, err := v.payloadSigner(sig, content, manifest, layer.Annotations)
	if err != nil {
		return none, err
	}
	named, err := v.checkPayload(content, image, d)
	if err != nil {
		return none, err
	}
	return Signature{Signed: signed, Named: named, Layout: LayoutTag, Digest: manifest}, nil
}

// payloadSigner finds who signed a simple signing payload. A known key counts
// as well where a certificate for it is annotated.
func (v *Verifier) payloadSigner(sig, content []byte, manifest digest.Digest, annotations map[string]string) (Signed, error) {
	at := v.annotatedAt(sig, content, manifest, annotations)
	keyID, err := v.verify(sig, content, at, "")
	if err == nil {
		return Signed{KeyID: keyID, SignedAt: at}, nil
	}
	if annotations[certificateAnnotation] == "" || len(sig) == 0 || len(sig) > maxSignatureBytes {
		return Signed{}, err
	}
	material, err := decodeAnnotations(annotations)
	if err != nil {
		return Signed{}, err
	}
	return v.certified(&protobundle.Bundle{
		MediaType:            annotatedMediaType,
		VerificationMaterial: material,
		Content:              messageSignature(sig, content),
	}, content)
}

// annotatedAt is when a payload that a key verifies was signed, if the ledger or
// the annotations prove it.
func (v *Verifier) annotatedAt(sig, content []byte, manifest digest.Digest, annotations map[string]string) time.Time {
	material, err := decodeAnnotations(annotations)
	if err != nil {
		return v.admittedAt(manifest)
	}
	v.nameKey(material, sig, content)
	return v.signedAt(&protobundle.Bundle{
		MediaType:            annotatedMediaType,
		VerificationMaterial: material,
		Content:              messageSignature(sig, content),
	}, manifest)
}

// signTag adds a signature under the tag unless s made one already.
func (s *Signer) signTag(ctx context.Context, ev Evidence, image string, subject ocispec.Descriptor) error {
	return signatureLayout().add(ctx, ev, image, subject, func(present []ocispec.Descriptor) (ocispec.Descriptor, error) {
		return s.ownSignature(ctx, ev, image, subject.Digest, present)
	})
}

// ownSignature finds a signature by s among layers, or makes one.
func (s *Signer) ownSignature(ctx context.Context, ev Evidence, image string, d digest.Digest, layers []ocispec.Descriptor) (ocispec.Descriptor, error) {
	var none ocispec.Descriptor
	for _, layer := range layers {
		if _, err := s.own.tagSignature(ctx, ev, image, d, "", layer); err == nil {
			return layer, nil
		}
	}
	content, err := encodePayload(image, d)
	if err != nil {
		return none, err
	}
	annotations, err := s.signPayload(ctx, content)
	if err != nil {
		return none, err
	}
	desc, err := pushBlob(ctx, ev, image, simpleSigningMediaType, content)
	if err != nil {
		return none, err
	}
	desc.Annotations = annotations
	return desc, nil
}

// signPayload signs a simple signing payload into the annotations of its layer.
func (s *Signer) signPayload(ctx context.Context, content []byte) (map[string]string, error) {
	if s.keyless == nil {
		sig, err := s.sign(ctx, content)
		return map[string]string{signatureAnnotation: base64.StdEncoding.EncodeToString(sig)}, err
	}
	b, err := s.keyless.bundle(ctx, &sigstore.PlainData{Data: content})
	if err != nil {
		return nil, err
	}
	annotations, err := encodeAnnotations(b.GetVerificationMaterial())
	if err != nil {
		return nil, err
	}
	sig := b.GetMessageSignature().GetSignature()
	annotations[signatureAnnotation] = base64.StdEncoding.EncodeToString(sig)
	if _, err := s.own.payloadSigner(sig, content, "", annotations); err != nil {
		return nil, fmt.Errorf("what was signed does not verify: %w", err)
	}
	return annotations, nil
}
