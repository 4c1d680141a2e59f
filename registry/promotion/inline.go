package promotion

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"kiln/registry"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Bounds on the evidence of a resolution: what does not fit is named, and can
// be read from the registry by its digest.
const (
	maxEvidence      = 200      // items
	maxInlineBundle  = 4 << 20  // bytes of one bundle
	maxInlineBundles = 12 << 20 // bytes of all
)

// predicateAnnotation is where a bundle's manifest names its predicate type,
// as cosign writes it. It proves nothing.
const predicateAnnotation = "dev.sigstore.bundle.predicateType"

// evidence lists the bundles of a version, those that VerifyResolution needs
// first.
func (s *Service) evidence(ctx context.Context, image string, d digest.Digest) ([]Evidence, error) {
	list := []Evidence{}
	for desc, err := range s.registry.Referrers(ctx, image, d, sign.BundleMediaType) {
		if err != nil {
			return nil, fmt.Errorf("evidence of %s@%s: %w", image, d, err)
		}
		list = append(list, Evidence{Digest: desc.Digest, PredicateType: desc.Annotations[predicateAnnotation]})
	}
	slices.SortStableFunc(list, func(a, b Evidence) int { return a.rank() - b.rank() })
	list = list[:min(len(list), maxEvidence)]
	budget := maxInlineBundles
	for i := range list {
		bundle, err := s.bundle(ctx, image, list[i].Digest, min(budget, maxInlineBundle))
		if err != nil {
			return nil, err
		}
		list[i].Bundle = bundle
		budget -= len(bundle)
	}
	return list, nil
}

// rank orders evidence: what a deployer cannot do without comes first.
func (e Evidence) rank() int {
	order := []string{sign.SignaturePredicate, sign.ProvenancePredicate, sign.TestPredicate, ""}
	if i := slices.Index(order, e.PredicateType); i >= 0 {
		return i
	}
	return len(order)
}

// bundle reads the bundle of a referrer; nil if it is none, or over limit.
func (s *Service) bundle(ctx context.Context, image string, d digest.Digest, limit int) (json.RawMessage, error) {
	_, content, err := s.registry.Manifest(ctx, image, d)
	if err != nil {
		return nil, fmt.Errorf("evidence %s of %s: %w", d, image, err)
	}
	var m ocispec.Manifest
	if json.Unmarshal(content, &m) != nil || len(m.Layers) != 1 || m.Layers[0].Size > int64(limit) {
		return nil, nil
	}
	content, err = s.blob(ctx, image, m.Layers[0].Digest, registry.MaxManifestSize)
	if err != nil {
		return nil, fmt.Errorf("evidence %s of %s: %w", d, image, err)
	}
	if len(content) > limit || !json.Valid(content) {
		return nil, nil
	}
	return content, nil
}
