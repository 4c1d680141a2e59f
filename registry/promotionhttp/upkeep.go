package promotionhttp

import (
	"context"

	"kiln/registry/promotion"

	"github.com/opencontainers/go-digest"
)

func (s *Server) lease(ctx context.Context, in *body[promotion.LeaseRequest]) (*output[promotion.Lease], error) {
	in.Body.By = callerOf(ctx).by
	return answered(s.ops.Lease(ctx, in.Body))
}

// releaseInput is a promotion.ReleaseRequest.
type releaseInput struct {
	Image  string        `query:"image" required:"true"`
	Digest digest.Digest `query:"digest" required:"true"`
	Holder string        `query:"holder" required:"true"`
}

func (s *Server) release(ctx context.Context, in *releaseInput) (*struct{}, error) {
	return nil, s.ops.Release(ctx, promotion.ReleaseRequest{
		Image: in.Image, Digest: in.Digest, Holder: in.Holder, By: callerOf(ctx).by,
	})
}

// leasesInput is a promotion.LeasesRequest.
type leasesInput struct {
	Image  string        `query:"image" doc:"Of this image only"`
	Digest digest.Digest `query:"digest" doc:"On this digest only"`
	Limit  int           `query:"limit" minimum:"1" doc:"Items of a page: 100 if absent, 1000 at most"`
	Cursor string        `query:"cursor" doc:"\"next\" of the page before"`
}

func (s *Server) leases(ctx context.Context, in *leasesInput) (*output[promotion.LeaseList], error) {
	return answered(s.ops.Leases(ctx, promotion.LeasesRequest{
		Image: in.Image, Digest: in.Digest, Limit: in.Limit, Cursor: in.Cursor,
	}))
}

func (s *Server) delete(ctx context.Context, in *body[promotion.DeleteRequest]) (*output[promotion.Deletion], error) {
	in.Body.By = callerOf(ctx).by
	return answered(s.ops.Delete(ctx, in.Body))
}

func (s *Server) collect(ctx context.Context, in *body[promotion.CollectRequest]) (*output[promotion.CollectResult], error) {
	in.Body.By = callerOf(ctx).by
	return answered(s.ops.Collect(ctx, in.Body))
}
