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
	Base     digest.Digest `json:"base_digest"` // what it says it was baked on; "" for nothing
	BaseName string        `json:"base_name"`

	key    string    // behind the prefix
	stored time.Time // when the entry was written, by the store's clock
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
				v.stored = info.ModTime
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
	if req.Digest != "" {
		if err := checkDigest(req.Digest); err != nil {
			return Versions{}, err
		}
	}
	st, err := s.state(ctx, req.Image)
	if err != nil {
		return Versions{}, err
	}
	limit := pageSize(req.Limit)
	page := Versions{Schema: VersionsSchema, Image: req.Image, Versions: []Version{}}
	at := map[digest.Digest]int{}
	last, seen := "", s.glance()
	for v, err := range s.entries(ctx, req.Image, req.Cursor, req.Digest) {
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
		out := st.describe(v, s.channels)
		if err := seen.judge(ctx, req.Image, v, st, &out); err != nil {
			return Versions{}, err
		}
		page.Versions = append(page.Versions, out)
	}
	return page, nil
}

// describe is a version with where it is now.
func (s state) describe(v versionEntry, channels []string) Version {
	out := Version{Digest: v.Digest, Tags: []string{v.Tag}, Created: v.Created, Revision: v.Revision, Channels: []string{}}
	for _, c := range channels {
		if s.Channels[c].Digest == v.Digest {
			out.Channels = append(out.Channels, c)
		}
	}
	return out
}
