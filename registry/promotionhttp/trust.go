package promotionhttp

import (
	"context"

	"kiln/registry/promotion"
)

func (s *Server) trust(ctx context.Context, _ *struct{}) (*output[promotion.Trust], error) {
	return answered(s.ops.Trust(ctx))
}

func (s *Server) addTrust(ctx context.Context, in *body[promotion.TrustRequest]) (*output[promotion.TrustEntry], error) {
	in.Body.By = callerOf(ctx).by
	return answered(s.ops.AddTrust(ctx, in.Body))
}

// removeTrustInput is a promotion.TrustRequest.
type removeTrustInput struct {
	Key   string         `query:"key" doc:"Public key, PEM; this or key_id is required"`
	KeyID string         `query:"key_id" doc:"The id of the key or identity, as the list has it"`
	Role  promotion.Role `query:"role" doc:"In this role only"`
	Image string         `query:"image" doc:"With this pattern only"`
}

func (s *Server) removeTrust(ctx context.Context, in *removeTrustInput) (*output[promotion.Trust], error) {
	return answered(s.ops.RemoveTrust(ctx, promotion.TrustRequest{
		Key: in.Key, KeyID: in.KeyID, Role: in.Role, Image: in.Image, By: callerOf(ctx).by,
	}))
}

func (s *Server) setTrustRoot(ctx context.Context, in *body[promotion.TrustRootRequest]) (*output[promotion.Trust], error) {
	in.Body.By = callerOf(ctx).by
	return answered(s.ops.SetTrustRoot(ctx, in.Body))
}
