package promotionhttp

import (
	"context"

	"kiln/registry/promotion"
)

// body is an input that is nothing else.
type body[T any] struct{ Body T }

func (s *Server) promote(ctx context.Context, in *body[promotion.PromoteRequest]) (*output[promotion.Promotion], error) {
	in.Body.By = callerOf(ctx).by
	return created(s.ops.Promote(ctx, in.Body))
}

func (s *Server) rollback(ctx context.Context, in *body[promotion.RollbackRequest]) (*output[promotion.Promotion], error) {
	in.Body.By = callerOf(ctx).by
	return created(s.ops.Rollback(ctx, in.Body))
}

func (s *Server) renew(ctx context.Context, in *body[promotion.RenewRequest]) (*output[promotion.Renewal], error) {
	in.Body.By = callerOf(ctx).by
	return answered(s.ops.Renew(ctx, in.Body))
}
