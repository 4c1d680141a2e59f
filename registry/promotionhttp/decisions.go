package promotionhttp

import (
	"context"

	"kiln/registry/promotion"

	"github.com/opencontainers/go-digest"
)

// checkInput is a promotion.CheckRequest.
type checkInput struct {
	Image   string        `query:"image" required:"true"`
	Digest  digest.Digest `query:"digest" required:"true"`
	Channel string        `query:"channel" required:"true" doc:"Where it would be promoted to"`
}

func (s *Server) checkPromotion(ctx context.Context, in *checkInput) (*output[promotion.Check], error) {
	return answered(s.ops.Check(ctx, promotion.CheckRequest{
		Image: in.Image, Digest: in.Digest, Channel: in.Channel, By: callerOf(ctx).by,
	}))
}

// decisionsInput is a promotion.DecisionsRequest.
type decisionsInput struct {
	Image  string        `query:"image" required:"true"`
	Record digest.Digest `query:"record" doc:"Only this one, with its facts and its policy: the digest of a record of the ledger or of a decision"`
	Limit  int           `query:"limit" minimum:"1" doc:"Items of a page: 100 if absent, 1000 at most"`
	Cursor string        `query:"cursor" doc:"\"next\" of the page before"`
}

func (s *Server) decisions(ctx context.Context, in *decisionsInput) (*output[promotion.DecisionList], error) {
	return answered(s.ops.Decisions(ctx, promotion.DecisionsRequest{
		Image: in.Image, Record: in.Record, Limit: in.Limit, Cursor: in.Cursor,
	}))
}
