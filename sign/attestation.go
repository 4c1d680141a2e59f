package sign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Attestation is a verified attestation.
type Attestation struct {
	Statement
	Signed
	Named  string        // the image as the statement names it: maybe with a host
	Digest digest.Digest // of the referrer, or of the manifest under cosign's tag
	Bundle []byte        // the Sigstore bundle, for VerifyBundle; nil for one under the tag
}

// Attest attaches a signed statement about subject, a manifest of image (its
// name without host), and returns the descriptor of the referrer. predicate
// must marshal to a JSON object. The same statement by the same key again adds
// nothing. Signatures, ledger records and channel statements are refused: no
// attestation can pass for one.
func (s *Signer) Attest(ctx context.Context, ev Evidence, image string, subject ocispec.Descriptor, predicateType string, predicate any) (ocispec.Descriptor, error) {
	var none ocispec.Descriptor
	st, err := newAttestation(image, subject.Digest, predicateType, predicate)
	if err != nil {
		return none, fmt.Errorf("attest %s@%s: %w", image, subject.Digest, err)
	}
	desc, err := s.attest(ctx, ev, subject, st)
	if err != nil {
		return none, fmt.Errorf("attest %s@%s: %w", image, subject.Digest, err)
	}
	return desc, nil
}

func newAttestation(image string, d digest.Digest, predicateType string, predicate any) (Statement, error) {
	if err := checkSubject(image, d); err != nil {
		return Statement{}, err
	}
	if predicateType == "" {
		return Statement{}, errors.New("predicate type required")
	}
	if predicateType == SignaturePredicate || strings.HasPrefix(predicateType, "urn:kiln:") {
		return Statement{}, fmt.Errorf("predicate type %s is not for attestations", predicateType)
	}
	content, err := json.Marshal(predicate)
	if err != nil {
		return Statement{}, fmt.Errorf("predicate %s: %w", predicateType, err)
	}
	if !isObject(content) {
		return Statement{}, fmt.Errorf("predicate %s is not a JSON object", predicateType)
	}
	if err := unambiguous("predicate "+predicateType, content, false); err != nil {
		return Statement{}, err
	}
	return Statement{Subject: Subject{Name: image, Digest: d}, PredicateType: predicateType, Predicate: content}, nil
}

func (s *Signer) attest(ctx context.Context, ev Evidence, subject ocispec.Descriptor, st Statement) (ocispec.Descriptor, error) {
	image := st.Subject.Name
	var ignored rejections
	present, err := s.own.bundles(ctx, ev, image, subject.Digest, st.PredicateType, &ignored)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	for _, p := range present {
		if bytes.Equal(p.Predicate, st.Predicate) && s.complete(p.Bundle) {
			desc, _, err := ev.Manifest(ctx, image, p.Digest)
			return desc, err
		}
	}
	bundle, err := s.bundle(ctx, st, maxBundle)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return pushBundle(ctx, ev, image, subject, st.PredicateType, bundle)
}

// Attestations returns the attestations of predicateType about an image by
// v's principals, at least one, in both layouts: bundles in the order of the
// listing, then those under cosign's tag. ErrUnsigned if there is
// none of that type by anyone, ErrInvalid if none counts or there are too many
// to look at.
func (v *Verifier) Attestations(ctx context.Context, ev Reader, image string, d digest.Digest, predicateType string) ([]Attestation, error) {
	if err := checkSubject(image, d); err != nil {
		return nil, err
	}
	if predicateType == "" {
		return nil, fmt.Errorf("attestations of %s@%s: predicate type required", image, d)
	}
	var rejected rejections
	found, err := v.bundles(ctx, ev, image, d, predicateType, &rejected)
	if err == nil {
		var tagged []Attestation
		tagged, err = v.tagAttestations(ctx, ev, image, d, predicateType, &rejected)
		found = append(found, tagged...)
	}
	if err == nil && len(found) == 0 {
		err = rejected.verdict("attestation of type " + predicateType)
	}
	if err != nil {
		return nil, fmt.Errorf("verify %s@%s: %w", image, d, err)
	}
	return found, nil
}

// bundles verifies the bundle referrers of predicateType, adding those that do
// not count to rejected.
func (v *Verifier) bundles(ctx context.Context, r Reader, image string, d digest.Digest, predicateType string, rejected *rejections) ([]Attestation, error) {
	candidates, err := referrers(ctx, r, image, d, BundleMediaType, predicateType)
	if err != nil {
		return nil, err
	}
	var found []Attestation
	for _, c := range candidates {
		a, err := v.attestation(ctx, r, image, d, predicateType, c.Digest)
		switch {
		case err == nil:
			found = append(found, a)
		case !rejected.add(fmt.Errorf("bundle %s: %w", c.Digest, err)):
			return nil, err
		}
	}
	return found, nil
}

func (v *Verifier) attestation(ctx context.Context, r Reader, image string, d digest.Digest, predicateType string, manifest digest.Digest) (Attestation, error) {
	bundle, err := readBundle(ctx, r, image, d, manifest, bundleLimit(predicateType))
	if err != nil {
		return Attestation{}, err
	}
	return v.VerifyAttestation(bundle, manifest, image, d, predicateType)
}
