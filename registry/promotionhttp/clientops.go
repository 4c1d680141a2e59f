package promotionhttp

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"kiln/registry"
	"kiln/registry/promotion"
)

// Promote implements promotion.Operations.
func (c *Client) Promote(ctx context.Context, req promotion.PromoteRequest) (promotion.Promotion, error) {
	var p promotion.Promotion
	err := c.post(ctx, "promotions", req, &p)
	if err == nil && (p.Schema != promotion.PromotionSchema || p.Image != req.Image || p.Channel != req.Channel || p.Digest != req.Digest) {
		err = c.offTopic()
	}
	return orNothing(p, err)
}

// Rollback implements promotion.Operations.
func (c *Client) Rollback(ctx context.Context, req promotion.RollbackRequest) (promotion.Promotion, error) {
	var p promotion.Promotion
	err := c.post(ctx, "rollbacks", req, &p)
	if err == nil && (p.Schema != promotion.PromotionSchema || p.Image != req.Image || p.Channel != req.Channel || registry.CheckDigest(p.Digest) != nil || req.To != "" && p.Digest != req.To) {
		err = c.offTopic()
	}
	return orNothing(p, err)
}

// Resolve implements promotion.Operations. What a caller may believe of the
// answer is for promotion.VerifyResolution to say.
func (c *Client) Resolve(ctx context.Context, req promotion.ResolveRequest) (promotion.Resolution, error) {
	var r promotion.Resolution
	err := c.get(ctx, "resolve", url.Values{"image": {req.Image}, "channel": {req.Channel}}, &r)
	if err == nil {
		ref, parseErr := registry.ParseReference(r.Reference)
		if parseErr != nil || ref.Digest == "" || ref.Digest != r.Digest || ref.Name != req.Image || ref.Tag != "" ||
			r.Schema != promotion.ResolveSchema || r.Image != req.Image || r.Channel != req.Channel {
			err = c.offTopic()
		}
	}
	return orNothing(r, err)
}

// History implements promotion.Operations.
func (c *Client) History(ctx context.Context, req promotion.HistoryRequest) (promotion.History, error) {
	var h promotion.History
	err := c.get(ctx, "history", pageQuery(req.Limit, req.Cursor, "image", req.Image, "channel", req.Channel), &h)
	if err == nil && (h.Schema != promotion.HistorySchema || h.Image != req.Image) {
		err = c.offTopic()
	}
	return orNothing(h, err)
}

// Versions implements promotion.Operations.
func (c *Client) Versions(ctx context.Context, req promotion.VersionsRequest) (promotion.Versions, error) {
	var v promotion.Versions
	err := c.get(ctx, "versions", pageQuery(req.Limit, req.Cursor, "image", req.Image, "digest", string(req.Digest)), &v)
	if err == nil && (v.Schema != promotion.VersionsSchema || v.Image != req.Image) {
		err = c.offTopic()
	}
	return orNothing(v, err)
}

// Ancestry implements promotion.Operations.
func (c *Client) Ancestry(ctx context.Context, req promotion.AncestryRequest) (promotion.Ancestry, error) {
	query := pageQuery(req.Limit, req.Cursor, "image", req.Image, "digest", string(req.Digest))
	if req.Latest {
		query.Set("latest", "true")
	}
	if req.ParentsOnly {
		query.Set("parents_only", "true")
	}
	var a promotion.Ancestry
	err := c.get(ctx, "ancestry", query, &a)
	if err == nil && (a.Schema != promotion.AncestrySchema || a.Image != req.Image || a.Digest != req.Digest) {
		err = c.offTopic()
	}
	return orNothing(a, err)
}

// Images implements promotion.Operations.
func (c *Client) Images(ctx context.Context, req promotion.ImagesRequest) (promotion.Images, error) {
	var i promotion.Images
	err := c.get(ctx, "images", pageQuery(req.Limit, req.Cursor), &i)
	if err == nil && i.Schema != promotion.ImagesSchema {
		err = c.offTopic()
	}
	return orNothing(i, err)
}

// Channels implements promotion.Operations.
func (c *Client) Channels(ctx context.Context, req promotion.ChannelsRequest) (promotion.ChannelList, error) {
	var l promotion.ChannelList
	err := c.get(ctx, "channels", url.Values{"image": {req.Image}}, &l)
	if err == nil && (l.Schema != promotion.ChannelsSchema || l.Image != req.Image) {
		err = c.offTopic()
	}
	return orNothing(l, err)
}

// Renew implements promotion.Operations.
func (c *Client) Renew(ctx context.Context, req promotion.RenewRequest) (promotion.Renewal, error) {
	var r promotion.Renewal
	err := c.post(ctx, "renewals", req, &r)
	if err == nil && r.Schema != promotion.RenewSchema {
		err = c.offTopic()
	}
	return orNothing(r, err)
}

// pageQuery is the query of a list; names and values alternate.
func pageQuery(limit int, cursor string, pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" || pairs[i] == "image" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	return q
}

// offTopic is the error of an answer to another question.
func (c *Client) offTopic() error {
	return &promotion.Error{
		Kind: promotion.KindInternal, Message: fmt.Sprintf("%s answers something else than it was asked", c.base),
		Hint: "is --store the address of a kiln serve?",
	}
}

// orNothing keeps half an answer from being used.
func orNothing[T any](v T, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}
