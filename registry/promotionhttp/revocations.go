package promotionhttp

import (
	"context"

	"kiln/registry/promotion"

	"github.com/opencontainers/go-digest"
)

func (s *Server) revoke(ctx context.Context, in *body[promotion.RevokeRequest]) (*output[promotion.Revocation], error) {
	in.Body.By = callerOf(ctx).by
	return answered(s.ops.Revoke(ctx, in.Body))
}

func (s *Server) restore(ctx context.Context, in *body[promotion.RestoreRequest]) (*output[promotion.Restoration], error) {
	in.Body.By = callerOf(ctx).by
	return answered(s.ops.Restore(ctx, in.Body))
}

// revocationsInput is a promotion.RevocationsRequest.
type revocationsInput struct {
	Image  string `query:"image" doc:"Of this image only"`
	Limit  int    `query:"limit" minimum:"1" doc:"Items of a page: 100 if absent, 1000 at most"`
	Cursor string `query:"cursor" doc:"\"next\" of the page before"`
}

func (s *Server) revocations(ctx context.Context, in *revocationsInput) (*output[promotion.RevocationList], error) {
	return answered(s.ops.Revocations(ctx, promotion.RevocationsRequest{Image: in.Image, Limit: in.Limit, Cursor: in.Cursor}))
}

func (s *Server) approve(ctx context.Context, in *body[promotion.ApproveRequest]) (*output[promotion.Approval], error) {
	in.Body.By = callerOf(ctx).by
	return answered(s.ops.Approve(ctx, in.Body))
}

// approvalsInput is a promotion.ApprovalsRequest.
type approvalsInput struct {
	Image   string        `query:"image" required:"true"`
	Digest  digest.Digest `query:"digest" required:"true"`
	Channel string        `query:"channel" doc:"For this channel only"`
}

func (s *Server) approvals(ctx context.Context, in *approvalsInput) (*output[promotion.ApprovalList], error) {
	return answered(s.ops.Approvals(ctx, promotion.ApprovalsRequest{Image: in.Image, Digest: in.Digest, Channel: in.Channel}))
}
