package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// versionEntry is a version as contentstore writes it before it sets the tag.
type versionEntry struct {
	Digest   digest.Digest `json:"digest"`
	Tag      string        `json:"tag"`
	Created  time.Time     `json:"created"`
	Revision string        `json:"revision"`

	key string // behind the prefix
}

// maxEntry bounds a version entry, in bytes.
const maxEntry = 64 << 10

// entries yields an image's versions, newest first, from behind after; of one
// digest if d is given. Entries without their tag are no versions.
func (s *Service) entries(ctx context.Context, image, after string, d digest.Digest) iter.Seq2[versionEntry, error] {
	prefix := store.VersionsPrefix(image)
	if after != "" {
		after = prefix + after
	}
	return func(yield func(versionEntry, error) bool) {
		for info, err := range s.store.List(ctx, prefix, after) {
			if err == nil && d != "" && !strings.HasSuffix(info.Key, "-"+string(d)) {
				continue
			}
			var v versionEntry
			if err == nil {
				v, err = s.entry(ctx, image, info.Key)
			}
			if errors.Is(err, store.ErrNotFound) || KindOf(err) == KindNotFound {
				continue
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// entry reads a version entry; KindNotFound if its tag is not set to it.
func (s *Service) entry(ctx context.Context, image, key string) (versionEntry, error) {
	r, err := s.store.Open(ctx, key, 0, maxEntry)
	if err != nil {
		return versionEntry{}, fmt.Errorf("version %s: %w", key, err)
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		return versionEntry{}, fmt.Errorf("version %s: %w", key, err)
	}
	v := versionEntry{key: strings.TrimPrefix(key, store.VersionsPrefix(image))}
	if err := json.Unmarshal(content, &v); err != nil {
		return versionEntry{}, fmt.Errorf("version %s: %w", key, err)
	}
	desc, err := s.registry.Tag(ctx, image, v.Tag)
	if err != nil {
		return versionEntry{}, fmt.Errorf("version %s: %w", key, err)
	}
	if desc.Digest != v.Digest {
		return versionEntry{}, fmt.Errorf("version %s: its tag points elsewhere: %w", key, store.ErrNotFound)
	}
	return v, nil
}

// Versions implements Operations.
func (s *Service) Versions(ctx context.Context, req VersionsRequest) (Versions, error) {
	if err := s.checkKnown(ctx, req.Image); err != nil {
		return Versions{}, err
	}
	st, err := s.state(ctx, req.Image)
	if err != nil {
		return Versions{}, err
	}
	limit := pageSize(req.Limit)
	page := Versions{Schema: VersionsSchema, Image: req.Image, Versions: []Version{}}
	at := map[digest.Digest]int{}
	last := ""
	for v, err := range s.entries(ctx, req.Image, req.Cursor, "") {
		if err != nil {
			return Versions{}, err
		}
		if i, ok := at[v.Digest]; ok {
			page.Versions[i].Tags = append(page.Versions[i].Tags, v.Tag)
			last = v.key
			continue
		}
		if len(page.Versions) == limit {
			page.Next = last
			break
		}
		at[v.Digest], last = len(page.Versions), v.key
		page.Versions = append(page.Versions, st.describe(v, s.channels, s.now()))
	}
	return page, nil
}

// describe is a version with where it is now.
func (s state) describe(v versionEntry, channels []string, now time.Time) Version {
	out := Version{Digest: v.Digest, Tags: []string{v.Tag}, Created: v.Created, Revision: v.Revision, Channels: []string{}}
	for _, c := range channels {
		if s.Channels[c].Digest == v.Digest {
			out.Channels = append(out.Channels, c)
		}
	}
	_, out.Revoked = s.revoked(v.Digest, now)
	return out
}

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
			_, out.Revoked = st.revoked(c.Digest, s.now())
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
