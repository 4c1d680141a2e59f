package main

import (
	"context"
	"slices"

	"kiln/bake"
	"kiln/registry"
)

// batches parts versions, parents first, into bakes that come one after
// another: a bake has one SOURCE_DATE_EPOCH.
func batches(all []*remade) [][]*remade {
	var list [][]*remade
	at := map[*remade]int{}
	for _, r := range all {
		i := at[r.onto] // 0 where it is on none of them
		for i < len(list) && !sameEpoch(list[i][0], r) {
			i++
		}
		if i == len(list) {
			list = append(list, nil)
		}
		list[i], at[r] = append(list[i], r), i
	}
	return list
}

func sameEpoch(a, b *remade) bool {
	x, y := epochOf([]*remade{a}), epochOf([]*remade{b})
	return x == y || x != nil && y != nil && x.Equal(*y)
}

// reparent puts the versions of a batch on what earlier batches baked, and
// gives back those for which that is there. drop hears of the others.
func (m *remaker) reparent(batch []*remade, baked map[*remade]bake.Baked, drop func(*remade, error)) []*remade {
	var left []*remade
	for _, r := range batch {
		if r.onto != nil && !slices.Contains(left, r.onto) {
			parent, ok := baked[r.onto]
			if !ok {
				drop(r, &bake.SkippedError{Image: r.image, Needs: r.onto.image})
				continue
			}
			r.parent, r.onto = registry.Reference{Name: parent.Name, Digest: parent.Digest}, nil
		}
		r.images = nil
		if err := m.settle(r); err != nil {
			drop(r, err)
			continue
		}
		left = append(left, r)
	}
	return left
}

// remakeAll is remake for versions of several SOURCE_DATE_EPOCHs.
func (m *remaker) remakeAll(ctx context.Context, all []*remade, observe func(bake.Event), drop func(*remade, error)) ([]bake.Baked, *bakeJob, error) {
	whole := m.job(all)
	if err := m.app.checkTrust(ctx, whole); err != nil {
		return nil, whole, err
	}
	var done []bake.Baked
	var failed error
	by, of := map[*remade]bake.Baked{}, map[string]*remade{}
	for _, r := range all {
		of[r.image] = r
	}
	whole.targets = nil
	for i, batch := range batches(all) {
		if i > 0 {
			batch = m.reparent(batch, by, drop)
		}
		if len(batch) == 0 {
			continue
		}
		baked, job, err := m.remake(ctx, batch, observe, drop)
		if ctx.Err() != nil {
			return done, whole, ctx.Err()
		}
		if err != nil && failed == nil {
			failed = err
		}
		for _, b := range baked {
			by[of[b.Name]] = b
		}
		done, whole.targets = append(done, baked...), append(whole.targets, job.targets...)
	}
	return done, whole, failed
}
