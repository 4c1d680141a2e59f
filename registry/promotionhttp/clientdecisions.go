package promotionhttp

import (
	"context"
	"net/url"

	"kiln/registry/promotion"
)

// Check implements promotion.Operations.
func (c *Client) Check(ctx context.Context, req promotion.CheckRequest) (promotion.Check, error) {
	var out promotion.Check
	query := url.Values{"image": {req.Image}, "digest": {string(req.Digest)}, "channel": {req.Channel}}
	err := c.get(ctx, "checks", query, &out)
	if err == nil && (out.Schema != promotion.CheckSchema || out.Image != req.Image || out.Digest != req.Digest || out.Channel != req.Channel) {
		err = c.offTopic()
	}
	return orNothing(out, err)
}

// Decisions implements promotion.Operations. What a caller may believe of a
// decision is for promotion.Replay to say.
func (c *Client) Decisions(ctx context.Context, req promotion.DecisionsRequest) (promotion.DecisionList, error) {
	var l promotion.DecisionList
	err := c.get(ctx, "decisions", pageQuery(req.Limit, req.Cursor, "image", req.Image, "record", string(req.Record)), &l)
	if err == nil && (l.Schema != promotion.DecisionsSchema || l.Image != req.Image || req.Record != "" && len(l.Decisions) != 1) {
		err = c.offTopic()
	}
	return orNothing(l, err)
}
