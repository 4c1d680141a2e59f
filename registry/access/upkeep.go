package access

import (
	"context"

	"kiln/registry/promotion"
)

// isAdmin says whether who asks may do what others' leases forbid.
func isAdmin(ctx context.Context) bool { return judge(ctx, Admin, EveryImage, "") == granted }

func (g *guardedOperations) Lease(ctx context.Context, req promotion.LeaseRequest) (promotion.Lease, error) {
	if err := mayOperate(ctx, Lease, req.Image, ""); err != nil {
		return promotion.Lease{}, err
	}
	req.By, req.Admin = Owner(ctx), isAdmin(ctx)
	return g.ops.Lease(ctx, req)
}

func (g *guardedOperations) Release(ctx context.Context, req promotion.ReleaseRequest) error {
	if err := mayOperate(ctx, Lease, req.Image, ""); err != nil {
		return err
	}
	req.By, req.Admin = Owner(ctx), isAdmin(ctx)
	return g.ops.Release(ctx, req)
}

// Leases of one image are for who may pull it; a list of all leaves out the
// leases of images that may not be pulled, and its cursor tells nothing of them.
func (g *guardedOperations) Leases(ctx context.Context, req promotion.LeasesRequest) (promotion.LeaseList, error) {
	if req.Image != "" {
		if err := mayOperate(ctx, Pull, req.Image, ""); err != nil {
			return promotion.LeaseList{}, err
		}
		return g.ops.Leases(ctx, req)
	}
	id, err := lister(ctx)
	if err != nil {
		return promotion.LeaseList{}, err
	}
	limit := pageSize(req.Limit)
	out := promotion.LeaseList{Schema: promotion.LeasesSchema, Leases: []promotion.Lease{}}
	for {
		page, err := g.ops.Leases(ctx, req)
		if err != nil {
			return promotion.LeaseList{}, err
		}
		for _, l := range page.Leases {
			if !lists(id, l.Image) {
				continue
			}
			next := l.Cursor()
			if n := len(out.Leases); n >= limit && out.Leases[n-1].Cursor() != next {
				out.Next = out.Leases[n-1].Cursor()
				return out, nil
			}
			out.Leases = append(out.Leases, l)
		}
		if page.Next == "" {
			return out, nil
		}
		req.Cursor = page.Next
	}
}

func (g *guardedOperations) Delete(ctx context.Context, req promotion.DeleteRequest) (promotion.Deletion, error) {
	if err := mayOperate(ctx, Delete, req.Image, ""); err != nil {
		return promotion.Deletion{}, err
	}
	req.By = Owner(ctx)
	return g.ops.Delete(ctx, req)
}

// Collect is for who may collect the whole store, the dry run too: it lists
// what is in every image. Rules of one's own remove versions that the operator's
// keep: who brings them needs Delete besides.
func (g *guardedOperations) Collect(ctx context.Context, req promotion.CollectRequest) (promotion.CollectResult, error) {
	if err := mayOperate(ctx, GC, EveryImage, ""); err != nil {
		return promotion.CollectResult{}, err
	}
	if len(req.Retention) > 0 {
		if err := mayOperate(ctx, Delete, EveryImage, ""); err != nil {
			return promotion.CollectResult{}, err
		}
	}
	req.By = Owner(ctx)
	return g.ops.Collect(ctx, req)
}
