package contentstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// sweep carries a plan out.
func (c *collection) sweep(ctx context.Context, t *tenure, p plan) (Collection, error) {
	err := each(ctx, p.drop, func(ctx context.Context, ptr store.Pointer) error {
		return t.within(ctx, func(ctx context.Context) error { return lost(c.r.pointers.Delete(ctx, ptr)) })
	})
	if err != nil {
		return Collection{}, err
	}
	var out Collection
	condemned, err := c.transition(ctx, t, p.condemn, condemned)
	out.Condemned = c.garbage(condemned)
	if err != nil {
		return out, err
	}
	doomed, err := c.transition(ctx, t, p.remove, deleting)
	out.Rescued = len(p.remove) - len(doomed)
	if err != nil || len(doomed) == 0 {
		return out, err
	}
	gone, err := c.relist(ctx, doomed)
	if err != nil {
		return out, err
	}
	out.Rescued += len(doomed) - len(gone)
	if err := c.delete(ctx, t, gone); err != nil {
		return out, err
	}
	out.Removed = c.garbage(gone)
	return out, each(ctx, doomed, func(ctx context.Context, d target) error {
		return t.within(ctx, func(ctx context.Context) error { return lost(c.r.pointers.Delete(ctx, d.ptr)) })
	})
}

// each runs f for all, many at once, and ends at the first error.
func each[T any](ctx context.Context, all []T, f func(context.Context, T) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, v := range all {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error { return f(gctx, v) })
	}
	return cmp.Or(g.Wait(), ctx.Err())
}

// lost: a writer has swapped the mark meanwhile, and then it is the writer's.
func lost(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return coded(err)
}

// transition swaps the marks of targets to a state, and returns those of which
// no writer was first. They carry the new mark.
func (c *collection) transition(ctx context.Context, t *tenure, targets []target, to markState) ([]target, error) {
	var mu sync.Mutex
	var won []target
	err := each(ctx, targets, func(ctx context.Context, d target) error {
		m := mark{State: to, At: d.at.UTC()}
		if to == condemned {
			m.At = c.r.now().UTC() // listing may have taken long
		}
		for _, k := range d.keys {
			m.Keys = append(m.Keys, k.key)
		}
		return t.within(ctx, func(ctx context.Context) error {
			ptr, err := c.r.swapMark(ctx, d.ptr, m)
			if err != nil {
				return lost(err)
			}
			d.ptr = ptr
			mu.Lock()
			defer mu.Unlock()
			won = append(won, d)
			return nil
		})
	})
	return won, err
}

// relist looks at everything again, now that every writer who comes waits: what
// it finds needed is left out.
func (c *collection) relist(ctx context.Context, doomed []target) ([]target, error) {
	v, err := c.r.listView(ctx)
	if err != nil {
		return nil, incomplete(err)
	}
	if err := c.marker.mark(ctx, v); err != nil {
		return nil, incomplete(err)
	}
	return c.withhold(ctx, v, doomed)
}

// delete removes objects kind by kind: a manifest is gone before any blob, and
// every link before the bytes.
func (c *collection) delete(ctx context.Context, t *tenure, targets []target) error {
	byKind := [kinds][]doomedKey{}
	for _, target := range targets {
		for _, k := range target.keys {
			byKind[k.kind] = append(byKind[k.kind], doomedKey{target.digest, k})
		}
	}
	for _, keys := range byKind {
		err := each(ctx, keys, func(ctx context.Context, k doomedKey) error {
			return t.remove(ctx, func(ctx context.Context) error { return c.deleteKey(ctx, k) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

type doomedKey struct {
	digest digest.Digest
	rubbish
}

func (c *collection) deleteKey(ctx context.Context, k doomedKey) error {
	if k.kind != kindTag {
		return coded(c.r.store.Delete(ctx, k.key))
	}
	ptr, err := c.r.pointers.Load(ctx, k.key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if t, err := parseTag(ptr); err != nil || t.Digest != k.digest {
		return err // it was moved
	}
	return lost(c.r.pointers.Delete(ctx, ptr))
}

// garbage tells of targets what callers are told.
func (c *collection) garbage(targets []target) []Garbage {
	var out []Garbage
	for _, t := range targets {
		for _, k := range t.keys {
			out = append(out, Garbage{
				Kind: kindNames[k.kind], Image: k.image, Digest: t.digest, Size: k.size, Due: t.at.Add(c.grace).UTC(), Key: k.key,
			})
		}
	}
	slices.SortFunc(out, compareGarbage)
	return out
}
