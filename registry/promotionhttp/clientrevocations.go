package promotionhttp

import (
	"context"
	"net/url"

	"kiln/registry/promotion"
)

// Revoke implements promotion.Operations.
func (c *Client) Revoke(ctx context.Context, req promotion.RevokeRequest) (promotion.Revocation, error) {
	var r promotion.Revocation
	err := c.post(ctx, "revocations", req, &r)
	if err == nil && (r.Schema != promotion.RevocationSchema || r.Image != req.Image || r.Digest != req.Digest) {
		err = c.offTopic()
	}
	return orNothing(r, err)
}

// Restore implements promotion.Operations.
func (c *Client) Restore(ctx context.Context, req promotion.RestoreRequest) (promotion.Restoration, error) {
	var r promotion.Restoration
	err := c.post(ctx, "restorations", req, &r)
	if err == nil && (r.Schema != promotion.RestorationSchema || r.Image != req.Image || r.Digest != req.Digest) {
		err = c.offTopic()
	}
	return orNothing(r, err)
}

// Revocations implements promotion.Operations.
func (c *Client) Revocations(ctx context.Context, req promotion.RevocationsRequest) (promotion.RevocationList, error) {
	query := pageQuery(req.Limit, req.Cursor)
	if req.Image != "" {
		query.Set("image", req.Image)
	}
	var l promotion.RevocationList
	err := c.get(ctx, "revocations", query, &l)
	if err == nil && l.Schema != promotion.RevocationsSchema {
		err = c.offTopic()
	}
	return orNothing(l, err)
}

// Approve implements promotion.Operations.
func (c *Client) Approve(ctx context.Context, req promotion.ApproveRequest) (promotion.Approval, error) {
	var a promotion.Approval
	err := c.post(ctx, "approvals", req, &a)
	if err == nil && (a.Schema != promotion.ApprovalSchema || a.Image != req.Image || a.Digest != req.Digest || a.Channel != req.Channel) {
		err = c.offTopic()
	}
	return orNothing(a, err)
}

// Approvals implements promotion.Operations.
func (c *Client) Approvals(ctx context.Context, req promotion.ApprovalsRequest) (promotion.ApprovalList, error) {
	query := url.Values{"image": {req.Image}, "digest": {string(req.Digest)}}
	if req.Channel != "" {
		query.Set("channel", req.Channel)
	}
	var l promotion.ApprovalList
	err := c.get(ctx, "approvals", query, &l)
	if err == nil && (l.Schema != promotion.ApprovalsSchema || l.Image != req.Image || l.Digest != req.Digest) {
		err = c.offTopic()
	}
	return orNothing(l, err)
}
