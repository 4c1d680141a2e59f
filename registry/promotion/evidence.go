package promotion

import (
	"context"
	"errors"
	"slices"
	"time"

	"kiln/policy"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

// gatherer adds to facts what the evidence of a version says that was signed by
// who the trust lists for baking the image. Whatever does not verify is absent.
type gatherer struct {
	facts    *policy.Facts
	evidence *attached
	verifier *sign.Verifier
	problems []error // why some of what is attached does not count
}

// gather reads the evidence of a version once. KindDenied for more than is
// read; other errors are of the store. ignored says why some does not count.
func (s *Service) gather(ctx context.Context, t Trust, st snapshot, f *policy.Facts) (ignored, err error) {
	image, d := f.Image, digest.Digest(f.Digest)
	v, err := t.Verifier(RoleBake, image, "", s.now, s.admitted(ctx, t, image, d, st))
	if KindOf(err) == KindDenied {
		return nil, nil // nobody may bake it: no evidence counts
	}
	if err != nil {
		return nil, err
	}
	g := &gatherer{facts: f, verifier: v}
	if g.evidence, err = s.attachedTo(ctx, image, d); err != nil {
		return nil, err
	}
	for _, one := range []func(context.Context) error{g.signatures, g.provenance, g.sbom, g.tests, g.vulnerabilities} {
		if err := one(ctx); err != nil {
			return nil, err
		}
	}
	for _, list := range []*[]string{&f.BakedBy, &f.Evidence} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return errors.Join(g.problems[:min(len(g.problems), maxProblems)]...), nil
}

// maxProblems bounds what is told of evidence that does not count.
const maxProblems = 5

// signatures lists who signed the image.
func (g *gatherer) signatures(ctx context.Context) error {
	type key struct {
		who string
		at  time.Time
	}
	seen := map[key]bool{}
	return g.evidence.each(sign.SignaturePredicate, func(r sign.Reader) error {
		found, err := g.verifier.VerifyImage(ctx, r, g.facts.Image, g.evidence.digest)
		g.note(err)
		for _, sig := range found {
			g.rests(sig.Digest)
			g.facts.BakedBy = append(g.facts.BakedBy, sig.KeyID)
			if k := (key{sig.KeyID, sig.SignedAt}); !seen[k] {
				seen[k] = true
				g.facts.Signatures = append(g.facts.Signatures, signatureOf(sig.Signed))
			}
		}
		return err
	})
}

func signatureOf(s sign.Signed) policy.Signature {
	out := policy.Signature{KeyID: s.KeyID, Trusted: true}
	if s.Identity != nil {
		out.KeyID, out.Identity = "", &policy.Identity{Issuer: s.Identity.Issuer, Subject: s.Identity.Subject}
	}
	if !s.SignedAt.IsZero() {
		at := s.SignedAt.UTC()
		out.SignedAt = &at
	}
	return out
}

// attestations verifies those of a type, in the order of their digests.
func (g *gatherer) attestations(ctx context.Context, predicateType string) ([]sign.Attestation, error) {
	var all []sign.Attestation
	err := g.evidence.each(predicateType, func(r sign.Reader) error {
		found, err := g.verifier.Attestations(ctx, r, g.facts.Image, g.evidence.digest, predicateType)
		g.note(err)
		for i := range found {
			found[i].Bundle = nil // the predicate is all that is needed
		}
		all = append(all, found...)
		return err
	})
	slices.SortStableFunc(all, func(a, b sign.Attestation) int { return compareDigests(a.Digest, b.Digest) })
	return all, err
}

func compareDigests(a, b digest.Digest) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// rests notes what the facts rest on.
func (g *gatherer) rests(evidence digest.Digest) {
	g.facts.Evidence = append(g.facts.Evidence, string(evidence))
}

// note keeps why something attached does not count, for the person.
func (g *gatherer) note(err error) {
	if errors.Is(err, sign.ErrInvalid) {
		g.problems = append(g.problems, err)
	}
}
