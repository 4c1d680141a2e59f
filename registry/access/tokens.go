package access

import (
	"context"

	"kiln/registry/promotion"
)

// guardedTokens lets admins in.
type guardedTokens struct{ tokens promotion.Tokens }

var _ promotion.Tokens = (*guardedTokens)(nil)

func (g *guardedTokens) CreateToken(ctx context.Context, req promotion.TokenRequest) (promotion.Token, error) {
	if err := mayOperate(ctx, Admin, EveryImage, ""); err != nil {
		return promotion.Token{}, err
	}
	req.By = Owner(ctx)
	return g.tokens.CreateToken(ctx, req)
}

func (g *guardedTokens) ListTokens(ctx context.Context) (promotion.TokenList, error) {
	if err := mayOperate(ctx, Admin, EveryImage, ""); err != nil {
		return promotion.TokenList{}, err
	}
	return g.tokens.ListTokens(ctx)
}

func (g *guardedTokens) RevokeToken(ctx context.Context, req promotion.RevokeTokenRequest) (promotion.TokenList, error) {
	if err := mayOperate(ctx, Admin, EveryImage, ""); err != nil {
		return promotion.TokenList{}, err
	}
	req.By = Owner(ctx)
	return g.tokens.RevokeToken(ctx, req)
}
