package promotion

import (
	"context"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
)

// strike lists in a revocation what it hits, by the index of descendants. The
// revocation stands whatever becomes of that.
func (s *Service) strike(ctx context.Context, r *Revocation) error {
	type version struct {
		image  string
		digest digest.Digest
	}
	seen := map[version]bool{}
	newest := map[string]versionEntry{}
	for queue := []version{{r.Image, r.Digest}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if seen[at] {
			continue
		}
		seen[at] = true
		if err := s.stopping(ctx, r, at.image, at.digest); err != nil {
			return err
		}
		if r.NoDescendants {
			return nil
		}
		hints, err := s.hints(ctx, at.image, at.digest)
		if err != nil {
			return err
		}
		for _, d := range hints {
			if len(r.Descendants) == MaxStopped {
				r.Truncated = true
				return nil
			}
			if is, err := s.describeDescendant(ctx, &d, newest, false); err != nil {
				return err
			} else if is && !seen[version{d.Image, d.Digest}] {
				r.Descendants = append(r.Descendants, d)
			}
			queue = append(queue, version{d.Image, d.Digest})
		}
	}
	return nil
}

// shorten has the statements of what a planned revocation stops end when it
// begins, for deployers that ask no server, and notes those that it may not
// issue. The revocation stands whatever becomes of that.
func (s *Service) shorten(ctx context.Context, r *Revocation) {
	for i := range r.Channels {
		c := &r.Channels[i]
		st, held, banned, err := s.held(ctx, c.Image, c.Channel)
		until := banned.next(st.tick(s.now()))
		if err == nil && held.Issue.outlives(until) {
			if st, err = s.reissue(ctx, c.Image, c.Channel); err == nil {
				held = st.Channels[c.Channel]
			}
		}
		if KindOf(err) == KindRevoked {
			continue // by another one, at once
		}
		if err != nil {
			s.log.Warn("statement outlives a planned revocation", "repo", c.Image, "channel", c.Channel, "err", err)
		}
		if held.Issue.outlives(r.At) {
			c.Outlives = in(held.Issue.Expires)
		}
	}
}

// stopping adds the channels of an image that hold a version.
func (s *Service) stopping(ctx context.Context, r *Revocation, image string, d digest.Digest) error {
	st, err := s.state(ctx, image)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(st.Channels)) {
		if st.Channels[name].Digest == d {
			r.Channels = append(r.Channels, StoppedChannel{Image: image, Channel: name, Digest: d})
		}
	}
	return nil
}
