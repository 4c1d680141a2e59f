package access

import (
	"context"

	"kiln/registry/promotion"
)

func (g *guardedOperations) Revoke(ctx context.Context, req promotion.RevokeRequest) (promotion.Revocation, error) {
	if err := mayOperate(ctx, Revoke, req.Image, ""); err != nil {
		return promotion.Revocation{}, err
	}
	req.By = Owner(ctx)
	out, err := g.ops.Revoke(ctx, req)
	return ofOwn(ctx, out), err
}

// ofOwn leaves out of a revocation what was hit in images that may not be
// pulled.
func ofOwn(ctx context.Context, r promotion.Revocation) promotion.Revocation {
	id, err := lister(ctx)
	seen := func(image string) bool { return err == nil && lists(id, image) }
	var channels []promotion.StoppedChannel
	for _, c := range r.Channels {
		if c.Image == r.Image || seen(c.Image) {
			channels = append(channels, c)
		}
	}
	var descendants []promotion.Descendant
	for _, d := range r.Descendants {
		if d.Image == r.Image || seen(d.Image) {
			descendants = append(descendants, d)
		}
	}
	r.Channels, r.Descendants = channels, descendants
	return r
}

func (g *guardedOperations) Restore(ctx context.Context, req promotion.RestoreRequest) (promotion.Restoration, error) {
	if err := mayOperate(ctx, Revoke, req.Image, ""); err != nil {
		return promotion.Restoration{}, err
	}
	req.By = Owner(ctx)
	return g.ops.Restore(ctx, req)
}

// Revocations of one image are for who may pull it; a list of all leaves out
// images that may not be pulled, and its cursor tells nothing of them.
func (g *guardedOperations) Revocations(ctx context.Context, req promotion.RevocationsRequest) (promotion.RevocationList, error) {
	if req.Image != "" {
		if err := mayOperate(ctx, Pull, req.Image, ""); err != nil {
			return promotion.RevocationList{}, err
		}
		return g.ops.Revocations(ctx, req)
	}
	id, err := lister(ctx)
	if err != nil {
		return promotion.RevocationList{}, err
	}
	limit := pageSize(req.Limit)
	out := promotion.RevocationList{Schema: promotion.RevocationsSchema, Revocations: []promotion.Revocation{}}
	for {
		page, err := g.ops.Revocations(ctx, req)
		if err != nil {
			return promotion.RevocationList{}, err
		}
		for _, r := range page.Revocations {
			if !lists(id, r.Image) {
				continue
			}
			if n := len(out.Revocations); n == limit {
				out.Next = out.Revocations[n-1].Cursor()
				return out, nil
			}
			out.Revocations = append(out.Revocations, r)
		}
		if page.Next == "" {
			return out, nil
		}
		req.Cursor = page.Next
	}
}

// Approve is for who may approve promotions to the channel; an approval for any
// is for who may approve for each.
func (g *guardedOperations) Approve(ctx context.Context, req promotion.ApproveRequest) (promotion.Approval, error) {
	if err := g.mayApprove(ctx, req); err != nil {
		return promotion.Approval{}, err
	}
	req.By = Owner(ctx)
	return g.ops.Approve(ctx, req)
}

func (g *guardedOperations) mayApprove(ctx context.Context, req promotion.ApproveRequest) error {
	if req.Channel != "" {
		return mayOperate(ctx, Approve, req.Image, req.Channel)
	}
	list, err := g.Channels(ctx, promotion.ChannelsRequest{Image: req.Image})
	if err != nil {
		return err
	}
	for _, c := range list.Channels {
		if err := mayOperate(ctx, Approve, req.Image, c.Channel); err != nil {
			return err
		}
	}
	return nil
}

func (g *guardedOperations) Approvals(ctx context.Context, req promotion.ApprovalsRequest) (promotion.ApprovalList, error) {
	if err := mayOperate(ctx, Pull, req.Image, ""); err != nil {
		return promotion.ApprovalList{}, err
	}
	return g.ops.Approvals(ctx, req)
}
