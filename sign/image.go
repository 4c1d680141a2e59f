package sign

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Layouts of a signature.
const (
	LayoutTag    = "tag"    // cosign's sha256-<hex>.sig
	LayoutBundle = "bundle" // a Sigstore bundle, referrer of the image
)

// Signature is a verified signature of an image.
type Signature struct {
	Signed
	Named  string        // the image as the signature names it: maybe with a host; "" if it names none
	Layout string        // LayoutTag or LayoutBundle
	Digest digest.Digest // of the manifest that holds it
}

// Signed is who signed something, and when.
type Signed struct {
	// KeyID is the id of the key, or that of the identity (Principal.ID).
	KeyID string
	// Identity is the certificate's issuer and subject; nil for a key.
	Identity *Identity
	// SignedAt is proven by a timestamp, a log or the ledger; zero if by none.
	SignedAt time.Time
}

// SignImage signs subject, the descriptor of a manifest of image (its name
// without host), in both layouts. Signatures by others stay, also when they
// sign at the same time. Signing again with the same key adds nothing.
func (s *Signer) SignImage(ctx context.Context, ev Evidence, image string, subject ocispec.Descriptor) error {
	if err := checkSubject(image, subject.Digest); err != nil {
		return err
	}
	if err := s.signBundle(ctx, ev, image, subject); err != nil {
		return fmt.Errorf("sign %s@%s: %w", image, subject.Digest, err)
	}
	if err := s.signTag(ctx, ev, image, subject); err != nil {
		return fmt.Errorf("sign %s@%s: %w", image, subject.Digest, err)
	}
	return nil
}

// signBundle adds a signature bundle unless s made one already.
func (s *Signer) signBundle(ctx context.Context, ev Evidence, image string, subject ocispec.Descriptor) error {
	var ignored rejections
	made, err := s.own.bundles(ctx, ev, image, subject.Digest, SignaturePredicate, &ignored)
	if err != nil || slices.ContainsFunc(made, func(a Attestation) bool { return s.complete(a.Bundle) }) {
		return err
	}
	st := Statement{Subject: Subject{Name: image, Digest: subject.Digest}, PredicateType: SignaturePredicate}
	bundle, err := s.bundle(ctx, st, maxPayload)
	if err != nil {
		return err
	}
	_, err = pushBundle(ctx, ev, image, subject, SignaturePredicate, bundle)
	return err
}

// VerifyImage returns the signatures of an image by v's keys, at least one.
// image is its name without host, d the digest that the caller will use.
// ErrUnsigned if nobody signed it, ErrInvalid if no signature counts or there
// are too many to look at.
func (v *Verifier) VerifyImage(ctx context.Context, ev Reader, image string, d digest.Digest) ([]Signature, error) {
	if err := checkSubject(image, d); err != nil {
		return nil, err
	}
	var rejected rejections
	found, err := v.tagSignatures(ctx, ev, image, d, &rejected)
	if err != nil && !rejected.add(err) {
		return nil, fmt.Errorf("verify %s@%s: %w", image, d, err)
	}
	bundles, err := v.bundles(ctx, ev, image, d, SignaturePredicate, &rejected)
	if err != nil && !rejected.add(err) {
		return nil, fmt.Errorf("verify %s@%s: %w", image, d, err)
	}
	for _, b := range bundles {
		found = append(found, Signature{Signed: b.Signed, Named: b.Named, Layout: LayoutBundle, Digest: b.Digest})
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("verify %s@%s: %w", image, d, rejected.verdict("signature"))
	}
	return found, nil
}

// tagSignatures verifies what lies under the signature tag, adding what does
// not count to rejected.
func (v *Verifier) tagSignatures(ctx context.Context, r Reader, image string, d digest.Digest, rejected *rejections) ([]Signature, error) {
	m, manifest, err := signatureLayout().read(ctx, r, image, d)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, nil
	}
	var found []Signature
	for _, layer := range m.Layers {
		signature, err := v.tagSignature(ctx, r, image, d, manifest, layer)
		switch {
		case err == nil:
			found = append(found, signature)
		case !rejected.add(err):
			return nil, err
		}
	}
	return found, nil
}
