package promotion

import (
	"context"
	"slices"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
)

// glance tells what is revoked in a list, where verifying the provenance of
// each version would take too long: it believes what manifests say that they
// were baked on. Resolve and Promote do not. Not safe for concurrent use.
type glance struct {
	s      *Service
	states map[string]snapshot
	below  map[string]bans // what a version passes on, by image@digest
}

func (s *Service) glance() *glance {
	return &glance{s: s, states: map[string]snapshot{}, below: map[string]bans{}}
}

// judge says in out whether a version is unusable, now or from when on, and why.
func (g *glance) judge(ctx context.Context, image string, v versionEntry, st snapshot, out *Version) error {
	g.states[image] = st
	own, err := g.s.ownBans(ctx, image, v.Digest, st)
	if err != nil {
		return err
	}
	inherited, err := g.from(ctx, v.BaseName, v.Base, 0)
	if err != nil {
		return err
	}
	all, now := slices.Concat(own, inherited), st.tick(g.s.now())
	if b, is := all.inForce(now); is {
		out.Revoked, out.RevokedBecause = true, b.because(image, v.Digest)
	} else if b, is := all.planned(now); is {
		out.RevokedFrom, out.RevokedBecause = in(b.At), b.because(image, v.Digest)
	}
	return nil
}

// from lists what is inherited from a parent.
func (g *glance) from(ctx context.Context, name string, base digest.Digest, depth int) (bans, error) {
	if registry.CheckName(name) != nil || registry.CheckDigest(base) != nil || depth == maxDepth {
		return nil, nil
	}
	key := name + "@" + string(base)
	if known, ok := g.below[key]; ok {
		return known, nil
	}
	st, ok := g.states[name]
	if !ok {
		var err error
		if st, err = g.s.state(ctx, name); err != nil {
			return nil, err
		}
		g.states[name] = st
	}
	found, err := g.s.inheritedBans(ctx, lineage{ancestors: []kin{{Image: name, Digest: base}}}, name, st)
	if err != nil {
		return nil, err
	}
	grand, above, err := g.s.base(ctx, name, base)
	if err != nil && KindOf(err) != KindNotFound {
		return nil, err
	}
	older, err := g.from(ctx, above, grand, depth+1)
	g.below[key] = append(found, older...)
	return g.below[key], err
}
