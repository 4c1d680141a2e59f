package promotionhttp

import (
	"context"
	"net/http"
	"net/url"

	"kiln/registry/promotion"
)

// Lease implements promotion.Operations.
func (c *Client) Lease(ctx context.Context, req promotion.LeaseRequest) (promotion.Lease, error) {
	var l promotion.Lease
	err := c.post(ctx, "leases", req, &l)
	if err == nil && (l.Schema != promotion.LeaseSchema || l.Image != req.Image || l.Digest != req.Digest || l.Holder != req.Holder) {
		err = c.offTopic()
	}
	return orNothing(l, err)
}

// Release implements promotion.Operations.
func (c *Client) Release(ctx context.Context, req promotion.ReleaseRequest) error {
	query := url.Values{"image": {req.Image}, "digest": {string(req.Digest)}, "holder": {req.Holder}}
	_, err := c.call(ctx, http.MethodDelete, "leases", query, nil, nil)
	return err
}

// Leases implements promotion.Operations.
func (c *Client) Leases(ctx context.Context, req promotion.LeasesRequest) (promotion.LeaseList, error) {
	query := pageQuery(req.Limit, req.Cursor, "digest", string(req.Digest))
	if req.Image != "" {
		query.Set("image", req.Image)
	}
	var l promotion.LeaseList
	err := c.get(ctx, "leases", query, &l)
	if err == nil && l.Schema != promotion.LeasesSchema {
		err = c.offTopic()
	}
	return orNothing(l, err)
}

// Delete implements promotion.Operations.
func (c *Client) Delete(ctx context.Context, req promotion.DeleteRequest) (promotion.Deletion, error) {
	var d promotion.Deletion
	err := c.post(ctx, "deletions", req, &d)
	if err == nil && (d.Schema != promotion.DeletionSchema || d.Image != req.Image || d.Digest != req.Digest) {
		err = c.offTopic()
	}
	return orNothing(d, err)
}

// Collect implements promotion.Operations. It waits as long as it takes.
func (c *Client) Collect(ctx context.Context, req promotion.CollectRequest) (promotion.CollectResult, error) {
	var r promotion.CollectResult
	err := c.patient().post(ctx, "collections", req, &r)
	if err == nil && (r.Schema != promotion.CollectSchema || r.Applied != req.Apply) {
		err = c.offTopic()
	}
	return orNothing(r, err)
}
