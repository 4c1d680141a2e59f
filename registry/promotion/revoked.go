package promotion

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Revocations implements Operations.
func (s *Service) Revocations(ctx context.Context, req RevocationsRequest) (RevocationList, error) {
	page := RevocationList{Schema: RevocationsSchema, Revocations: []Revocation{}}
	if req.Image != "" {
		if err := s.checkKnown(ctx, req.Image); err != nil {
			return page, err
		}
		err := s.addRevocations(ctx, req.Image, req, &page)
		return page, err
	}
	for image, err := range s.registry.Repositories(ctx, "") {
		if err != nil {
			return page, fmt.Errorf("images: %w", err)
		}
		if err := s.addRevocations(ctx, image, req, &page); err != nil || page.Next != "" {
			return page, err
		}
	}
	return page, nil
}

// addRevocations adds those of one image, until the page is full.
func (s *Service) addRevocations(ctx context.Context, image string, req RevocationsRequest, page *RevocationList) error {
	st, err := s.state(ctx, image)
	if err != nil {
		return err
	}
	digests := slices.Sorted(maps.Keys(st.Revoked))
	if st.MoreRevoked {
		older, err := s.everRevoked(ctx, image, st)
		if err != nil {
			return err
		}
		digests = slices.Compact(slices.Sorted(slices.Values(append(digests, older...))))
	}
	limit, now := pageSize(req.Limit), st.tick(s.now())
	for _, d := range digests {
		if !behind(req.Cursor, image, d) {
			continue
		}
		is, found, err := s.standing(ctx, image, d, st)
		if err != nil {
			return err
		}
		if !found {
			continue // restored
		}
		if len(page.Revocations) == limit {
			page.Next = page.Revocations[limit-1].Cursor()
			return nil
		}
		r, err := s.record(ctx, image, is.Record)
		if err != nil {
			return err
		}
		page.Revocations = append(page.Revocations, r.revoked(is.Record, now))
	}
	return nil
}

// behind says whether a digest of an image comes after the one that a cursor
// names. Images go by their names alone: an "@" behind them is no part of that.
func behind(cursor, image string, d digest.Digest) bool {
	at, last, _ := strings.Cut(cursor, "@")
	return image > at || image == at && string(d) > last
}

// everRevoked lists, by the index, the digests that records revoke, restore or
// cover.
func (s *Service) everRevoked(ctx context.Context, image string, st snapshot) ([]digest.Digest, error) {
	if err := s.index(ctx, image, st); err != nil {
		return nil, err
	}
	prefix := indexKey(image) + "revoked/"
	var list []digest.Digest
	for info, err := range s.store.List(ctx, prefix, "") {
		if err != nil {
			return nil, fmt.Errorf("revocations of %s: %w", image, err)
		}
		text, _, _ := strings.Cut(strings.TrimPrefix(info.Key, prefix), "/")
		if d := digest.Digest(text); !slices.Contains(list, d) {
			list = append(list, d)
		}
	}
	return list, nil
}
