package promotion

import (
	"context"
	"slices"

	"kiln/policy"

	"github.com/opencontainers/go-digest"
)

// maxNewer bounds the versions of an ancestor that are looked at to find out
// whether it is outdated.
const maxNewer = 500

// ancestry tells what the version was baked on, what of that is revoked, and
// what is outdated.
func (s *Service) ancestry(ctx context.Context, t Trust, st snapshot, f *policy.Facts) error {
	line, err := s.lineage(ctx, t, f.Image, digest.Digest(f.Digest))
	if KindOf(err) == KindVerification {
		f.Ancestry = policy.Ancestry{Problem: err.Error()}
		return nil
	}
	if err != nil {
		return err
	}
	f.Ancestry = policy.Ancestry{Known: line.known, Problem: line.problem}
	states := map[string]snapshot{f.Image: st}
	for _, k := range line.ancestors {
		a := policy.Ancestor{Image: k.Image, Digest: string(k.Digest), Foreign: k.Host != ""}
		if a.Foreign {
			a.Image = k.Host + "/" + k.Image
			f.Ancestry.Ancestors = append(f.Ancestry.Ancestors, a)
			continue
		}
		at, ok := states[k.Image]
		if !ok {
			if at, err = s.state(ctx, k.Image); err != nil {
				return err
			}
			states[k.Image] = at
		}
		found, err := s.bansOf(ctx, k.Image, append([]digest.Digest{k.Digest}, k.Parts...), at)
		if err != nil {
			return err
		}
		found = slices.DeleteFunc(found, func(b ban) bool { return b.NoDescendants })
		if b, is := found.inForce(at.tick(f.Now)); is {
			a.Revoked, a.Reason = true, b.Reason
		}
		for i := range found {
			found[i].inherited = true
		}
		plan(f, found, at.tick(f.Now))
		if a.Outdated, err = s.outdated(ctx, k, at.Channels[f.Channel].Digest); err != nil {
			return err
		}
		f.Ancestry.Ancestors = append(f.Ancestry.Ancestors, a)
	}
	return nil
}

// outdated says whether an ancestor's image has a newer version: in the channel,
// which holds current, or where that holds nothing at all. Nil if its version
// is not among those that are looked at.
func (s *Service) outdated(ctx context.Context, k kin, current digest.Digest) (*bool, error) {
	if current == k.Digest {
		return new(bool), nil
	}
	newer, looked := false, 0
	for v, err := range s.entries(ctx, k.Image, "", "") {
		if err != nil {
			return nil, err
		}
		if v.Digest == k.Digest {
			return &newer, nil
		}
		newer = newer || current == "" || v.Digest == current
		if looked++; looked == maxNewer {
			break
		}
	}
	return nil, nil
}
