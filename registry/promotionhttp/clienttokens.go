package promotionhttp

import (
	"context"
	"net/http"
	"net/url"

	"kiln/registry/promotion"
)

var _ promotion.Tokens = (*Client)(nil)

// CreateToken implements promotion.Tokens.
func (c *Client) CreateToken(ctx context.Context, req promotion.TokenRequest) (promotion.Token, error) {
	var t promotion.Token
	err := c.post(ctx, "tokens", req, &t)
	if err == nil && (t.Schema != promotion.TokenSchema || t.Name != req.Name || t.Token == "") {
		err = c.offTopic()
	}
	return orNothing(t, err)
}

// ListTokens implements promotion.Tokens.
func (c *Client) ListTokens(ctx context.Context) (promotion.TokenList, error) {
	var l promotion.TokenList
	err := c.get(ctx, "tokens", nil, &l)
	return c.checkTokens(l, err)
}

// RevokeToken implements promotion.Tokens.
func (c *Client) RevokeToken(ctx context.Context, req promotion.RevokeTokenRequest) (promotion.TokenList, error) {
	query := url.Values{}
	if req.ID != "" {
		query.Set("id", req.ID)
	}
	if req.Name != "" {
		query.Set("name", req.Name)
	}
	var l promotion.TokenList
	_, err := c.call(ctx, http.MethodDelete, "tokens", query, nil, &l)
	return c.checkTokens(l, err)
}

func (c *Client) checkTokens(l promotion.TokenList, err error) (promotion.TokenList, error) {
	if err == nil && l.Schema != promotion.TokensSchema {
		err = c.offTopic()
	}
	return orNothing(l, err)
}
