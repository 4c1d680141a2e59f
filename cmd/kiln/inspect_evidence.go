package main

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"kiln/bake"
	"kiln/registry/promotion"
	"kiln/sign"
)

// inspectEvidence is what is attached to an image, and what of it counts.
type inspectEvidence struct {
	// CheckedWith are "keys", as named, "trust", the store's, or "": then
	// nothing was verified.
	CheckedWith  string             `json:"checked_with"`
	Signatures   []inspectSignature `json:"signatures"`
	Attestations []inspectAttested  `json:"attestations"`
}

type inspectSignature struct {
	Key      string `json:"key,omitempty"` // of one that verified
	Layout   string `json:"layout"`
	Verified bool   `json:"verified"`
}

type inspectAttested struct {
	PredicateType string        `json:"predicate_type"`
	Digest        digest.Digest `json:"digest"`
	Key           string        `json:"key,omitempty"`
	Verified      bool          `json:"verified"`
	// Says is one line of what a verified one says, where its type is known.
	Says string `json:"says,omitempty"`
}

// predicateAnnotation is where cosign writes the type of a bundle's predicate.
const predicateAnnotation = "dev.sigstore.bundle.predicateType"

// maxListed bounds how many referrers are listed.
const maxListed = 1000

// evidence lists what is attached and verifies it. The scan is that of an
// attestation that verified; nil if there is none.
func (l *looked) evidence(ctx context.Context) (inspectEvidence, *bake.AttestedScan, error) {
	out := inspectEvidence{CheckedWith: l.keysFrom, Signatures: []inspectSignature{}, Attestations: []inspectAttested{}}
	kinds, signed, err := l.bundles(ctx, &out)
	if err != nil {
		return out, nil, err
	}
	if l.verifier == nil || l.place.repo == "" {
		out.CheckedWith = ""
	} else if signed, err = l.signatures(ctx, &out, signed); err != nil {
		return out, nil, err
	}
	for range signed {
		out.Signatures = append(out.Signatures, inspectSignature{Layout: "bundle"})
	}
	scan, err := l.verifyAttested(ctx, &out, kinds)
	return out, scan, err
}

// bundles lists the attestations, their predicate types, and how many bundles
// say that they are signatures.
func (l *looked) bundles(ctx context.Context, out *inspectEvidence) (kinds []string, signatures int, err error) {
	seen := map[string]bool{}
	listed := 0
	for desc, err := range l.place.registry.Referrers(ctx, l.Name, l.Digest, sign.BundleMediaType) {
		if err != nil {
			return nil, 0, err
		}
		if desc.ArtifactType != sign.BundleMediaType {
			continue
		}
		if listed++; listed > maxListed {
			break
		}
		kind := desc.Annotations[predicateAnnotation]
		if kind == sign.SignaturePredicate {
			signatures++
			continue
		}
		out.Attestations = append(out.Attestations, inspectAttested{PredicateType: kind, Digest: desc.Digest})
		if !seen[kind] && kind != "" {
			seen[kind] = true
			kinds = append(kinds, kind)
		}
	}
	return kinds, signatures, nil
}

// signatures adds those that verify and returns how many bundles are left.
func (l *looked) signatures(ctx context.Context, out *inspectEvidence, bundles int) (int, error) {
	found, err := l.verifier.VerifyImage(ctx, bake.Evidence(l.place.registry), l.Name, l.Digest)
	if err != nil && !errors.Is(err, sign.ErrUnsigned) && !errors.Is(err, sign.ErrInvalid) {
		return bundles, err
	}
	for _, s := range found {
		out.Signatures = append(out.Signatures, inspectSignature{Key: s.KeyID, Layout: s.Layout, Verified: true})
		if s.Layout == "bundle" {
			bundles--
		}
	}
	return max(bundles, 0), nil
}

// verifierOf is who judges attestations of a type: the store's trust lists
// others for what a promotion attests, and for approvals. nil where it lists
// nobody for these: then those who bake did not make them.
func (l *looked) verifierOf(kind string) *sign.Verifier {
	role, own := map[string]promotion.Role{sign.SummaryPredicate: promotion.RolePromote, sign.ApprovalPredicate: promotion.RoleApprove}[kind]
	if !own || l.keysFrom != "trust" {
		return l.verifier
	}
	v, err := l.trust.Verifier(role, l.Name, "", nil, nil)
	if err != nil {
		return nil
	}
	return v
}

// verifyAttested marks the attestations that verify.
func (l *looked) verifyAttested(ctx context.Context, out *inspectEvidence, kinds []string) (*bake.AttestedScan, error) {
	if out.CheckedWith == "" {
		return nil, nil
	}
	keys, says := map[digest.Digest]string{}, map[digest.Digest]string{}
	var scan *bake.AttestedScan
	for _, kind := range kinds {
		v := l.verifierOf(kind)
		if v == nil {
			continue
		}
		found, err := v.Attestations(ctx, bake.Evidence(l.place.registry), l.Name, l.Digest, kind)
		if errors.Is(err, sign.ErrUnsigned) || errors.Is(err, sign.ErrInvalid) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			keys[f.Digest], says[f.Digest] = f.KeyID, saying(kind, f.Predicate)
			if s, ok := bake.ReadScan(f.Predicate); ok && kind == bake.TestResultPredicate {
				scan = &s
			}
		}
	}
	for i, at := range out.Attestations {
		out.Attestations[i].Key = keys[at.Digest]
		out.Attestations[i].Verified = keys[at.Digest] != ""
		out.Attestations[i].Says = says[at.Digest]
	}
	return scan, nil
}
