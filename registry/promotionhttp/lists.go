package promotionhttp

import (
	"context"
	"slices"

	"kiln/registry/promotion"

	"github.com/opencontainers/go-digest"
)

// imagesInput is a promotion.ImagesRequest. Huma does not look into embedded
// types that are not exported, so each list has these fields.
type imagesInput struct {
	Limit  int    `query:"limit" minimum:"1" doc:"Items of a page: 100 if absent, 1000 at most"`
	Cursor string `query:"cursor" doc:"\"next\" of the page before"`
}

func (s *Server) images(ctx context.Context, in *imagesInput) (*output[promotion.Images], error) {
	return answered(s.ops.Images(ctx, promotion.ImagesRequest{Limit: in.Limit, Cursor: in.Cursor}))
}

// versionsInput is a promotion.VersionsRequest.
type versionsInput struct {
	Image  string        `query:"image" required:"true"`
	Digest digest.Digest `query:"digest" doc:"Of this version only"`
	Limit  int           `query:"limit" minimum:"1" doc:"Items of a page: 100 if absent, 1000 at most"`
	Cursor string        `query:"cursor" doc:"\"next\" of the page before"`
}

func (s *Server) versions(ctx context.Context, in *versionsInput) (*output[promotion.Versions], error) {
	return answered(s.ops.Versions(ctx, promotion.VersionsRequest{
		Image: in.Image, Digest: in.Digest, Limit: in.Limit, Cursor: in.Cursor,
	}))
}

// ancestryInput is a promotion.AncestryRequest.
type ancestryInput struct {
	Image   string        `query:"image" required:"true"`
	Digest  digest.Digest `query:"digest" doc:"Of this version; what was baked on any version of the image if absent"`
	Latest  bool          `query:"latest" doc:"Only descendants that are the newest version of their image"`
	Parents bool          `query:"parents_only" doc:"Leave out all descendants"`
	Limit   int           `query:"limit" minimum:"1" doc:"Descendants of a page: 100 if absent, 1000 at most"`
	Cursor  string        `query:"cursor" doc:"\"next\" of the page before"`
}

func (s *Server) ancestry(ctx context.Context, in *ancestryInput) (*output[promotion.Ancestry], error) {
	return answered(s.ops.Ancestry(ctx, promotion.AncestryRequest{
		Image: in.Image, Digest: in.Digest, Latest: in.Latest, ParentsOnly: in.Parents, Limit: in.Limit, Cursor: in.Cursor,
	}))
}

type channelsInput struct {
	Image string `query:"image" required:"true"`
}

func (s *Server) channels(ctx context.Context, in *channelsInput) (*output[promotion.ChannelList], error) {
	return answered(s.ops.Channels(ctx, promotion.ChannelsRequest{Image: in.Image}))
}

// historyInput is a promotion.HistoryRequest.
type historyInput struct {
	Image   string `query:"image" required:"true"`
	Channel string `query:"channel" doc:"Of this channel only"`
	Limit   int    `query:"limit" minimum:"1" doc:"Items of a page: 100 if absent, 1000 at most"`
	Cursor  string `query:"cursor" doc:"\"next\" of the page before"`
}

func (s *Server) history(ctx context.Context, in *historyInput) (*output[promotion.History], error) {
	return answered(s.ops.History(ctx, promotion.HistoryRequest{
		Image: in.Image, Channel: in.Channel, Limit: in.Limit, Cursor: in.Cursor,
	}))
}

// promotions is a page of the history without what is no promotion.
func (s *Server) promotions(ctx context.Context, in *historyInput) (*output[promotion.History], error) {
	out, err := s.history(ctx, in)
	out.Body.Entries = slices.DeleteFunc(out.Body.Entries, func(e promotion.Entry) bool {
		return e.Action != promotion.ActionPromote
	})
	return out, err
}
