package promotion

import (
	"context"
	"slices"
)

// judgeLine says what of a version's line is signed, and what of it is revoked.
// Ancestors that only signed provenance names are added.
func (s *Service) judgeLine(ctx context.Context, page *Ancestry) error {
	st, err := s.state(ctx, page.Image)
	if err != nil {
		return err
	}
	now := st.tick(s.now())
	banned, err := s.bansOn(ctx, page.Image, page.Digest, st)
	if err != nil {
		return err
	}
	if b, is := banned.inForce(now); is {
		page.Revoked, page.RevokedBecause = true, b.because(page.Image, page.Digest)
	}
	if err := s.addKnown(ctx, page); err != nil {
		return err
	}
	for i := range page.Parents {
		p := &page.Parents[i]
		if p.Foreign {
			continue
		}
		found, err := s.inheritedBans(ctx, lineage{ancestors: []kin{{Image: p.Image, Digest: p.Digest}}}, page.Image, st)
		if err != nil {
			return err
		}
		if b, is := found.inForce(now); is {
			p.Revoked, p.RevokedBecause = true, b.Reason
		}
	}
	return nil
}

// addKnown marks the parents that signed provenance names, and adds those that
// only it names.
func (s *Service) addKnown(ctx context.Context, page *Ancestry) error {
	line, err := s.rememberedLineage(ctx, page.Image, page.Digest)
	if err != nil {
		return err
	}
	for _, k := range line.ancestors {
		i := slices.IndexFunc(page.Parents, k.is)
		if i < 0 {
			stored, err := s.linked(ctx, k.Image, k.Digest)
			if err != nil {
				return err
			}
			page.Parents = append(page.Parents, Ancestor{Image: k.Image, Digest: k.Digest, Stored: stored && k.Host == ""})
			i = len(page.Parents) - 1
		}
		page.Parents[i].Known, page.Parents[i].Foreign = !k.Unsigned, k.Host != ""
	}
	return nil
}

// is tells whether an ancestor that a manifest names is k.
func (k kin) is(a Ancestor) bool {
	return a.Image == k.Image && (a.Digest == k.Digest || slices.Contains(k.Parts, a.Digest))
}
