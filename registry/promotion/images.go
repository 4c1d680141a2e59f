package promotion

import (
	"context"
	"fmt"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// Images implements Operations.
func (s *Service) Images(ctx context.Context, req ImagesRequest) (Images, error) {
	limit := pageSize(req.Limit)
	page := Images{Schema: ImagesSchema, Images: []Image{}}
	for name, err := range s.registry.Repositories(ctx, req.Cursor) {
		if err != nil {
			return Images{}, fmt.Errorf("images: %w", err)
		}
		if len(page.Images) == limit {
			page.Next = page.Images[limit-1].Image
			break
		}
		st, err := s.state(ctx, name)
		if err != nil {
			return Images{}, err
		}
		held := map[string]digest.Digest{}
		for _, c := range s.channels {
			if d := st.Channels[c].Digest; d != "" {
				held[c] = d
			}
		}
		page.Images = append(page.Images, Image{Image: name, Channels: held})
	}
	return page, nil
}

// Channels implements Operations.
func (s *Service) Channels(ctx context.Context, req ChannelsRequest) (ChannelList, error) {
	if err := s.checkKnown(ctx, req.Image); err != nil {
		return ChannelList{}, err
	}
	st, err := s.state(ctx, req.Image)
	if err != nil {
		return ChannelList{}, err
	}
	list := ChannelList{Schema: ChannelsSchema, Image: req.Image, Channels: []Channel{}}
	for _, name := range s.channels {
		out := Channel{Channel: name}
		if c, ok := st.Channels[name]; ok {
			out.Digest, out.Sequence, out.Record = c.Digest, c.Sequence, c.Record
			out.PromotedAt, out.PromotedBy = &c.At, c.By
			out.Issued, out.Expires = &c.Issue.Issued, &c.Issue.Expires
			banned, err := s.bansOn(ctx, req.Image, c.Digest, st)
			if err != nil {
				return ChannelList{}, err
			}
			if b, revoked := banned.inForce(st.tick(s.now())); revoked {
				out.Revoked, out.RevokedBecause = true, b.because(req.Image, c.Digest)
			}
		}
		list.Channels = append(list.Channels, out)
	}
	return list, nil
}

// checkKnown refuses an image that the store does not have.
func (s *Service) checkKnown(ctx context.Context, image string) error {
	if err := checkImage(image); err != nil {
		return err
	}
	for _, err := range s.store.List(ctx, store.ImageKey(image)+"manifests/", "") {
		if err != nil {
			return fmt.Errorf("image %s: %w", image, err)
		}
		return nil
	}
	return errorf(KindNotFound, "no image %s", image).hinted("kiln images lists them")
}

// pageSize is the number of items on a page.
func pageSize(limit int) int {
	if limit <= 0 {
		return DefaultLimit
	}
	return min(limit, MaxLimit)
}
