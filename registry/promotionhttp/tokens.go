package promotionhttp

import (
	"context"

	"kiln/registry/promotion"
)

func (s *Server) listTokens(ctx context.Context, _ *struct{}) (*output[promotion.TokenList], error) {
	return answered(s.tokens.ListTokens(ctx))
}

// createdToken is the one answer with a secret in it: nobody keeps it.
type createdToken struct {
	CacheControl string `header:"Cache-Control"`
	Body         promotion.Token
}

func (s *Server) createToken(ctx context.Context, in *body[promotion.TokenRequest]) (*createdToken, error) {
	in.Body.By = callerOf(ctx).by
	t, err := s.tokens.CreateToken(ctx, in.Body)
	return &createdToken{CacheControl: "no-store", Body: t}, err
}

// revokeTokenInput is a promotion.RevokeTokenRequest.
type revokeTokenInput struct {
	ID   string `query:"id" doc:"This or name is required"`
	Name string `query:"name" doc:"Every token of this name"`
}

func (s *Server) revokeToken(ctx context.Context, in *revokeTokenInput) (*output[promotion.TokenList], error) {
	return answered(s.tokens.RevokeToken(ctx, promotion.RevokeTokenRequest{ID: in.ID, Name: in.Name, By: callerOf(ctx).by}))
}
