package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxConfig bounds an image's config, in bytes.
const maxConfig = 4 << 20

// Resolve implements Operations. With a signer a statement past half of its
// life is issued anew.
func (s *Service) Resolve(ctx context.Context, req ResolveRequest) (Resolution, error) {
	if err := s.checkChannel(req.Image, req.Channel); err != nil {
		return Resolution{}, err
	}
	st, c, banned, err := s.held(ctx, req.Image, req.Channel)
	if err != nil {
		return Resolution{}, err
	}
	if err := s.repair(ctx, req.Image, st); err != nil {
		s.log.Warn("record not linked yet", "repo", req.Image, "digest", st.Head, "err", err)
	}
	if s.signer != nil && c.Issue.due(s.now(), banned.next(st.tick(s.now()))) {
		if st, err = s.reissue(ctx, req.Image, req.Channel); err != nil {
			if KindOf(err) != KindInternal && KindOf(err) != KindDenied {
				return Resolution{}, err
			}
			s.log.Warn("statement not issued anew", "repo", req.Image, "channel", req.Channel, "err", err)
		} else {
			c = st.Channels[req.Channel]
		}
	}
	return s.resolution(ctx, req, c)
}

// held reads what a channel holds, and the revocations that are yet to come:
// KindNotFound for nothing, KindRevoked.
func (s *Service) held(ctx context.Context, image, channel string) (snapshot, channelState, bans, error) {
	st, err := s.state(ctx, image)
	if err != nil {
		return snapshot{}, channelState{}, nil, err
	}
	c, ok := st.Channels[channel]
	if !ok {
		return snapshot{}, channelState{}, nil, errorf(KindNotFound, "channel %s of %s holds nothing", channel, image).
			hinted("kiln promote %s@DIGEST --to %s puts a version there", image, channel)
	}
	banned, err := s.bansOn(ctx, image, c.Digest, st)
	if err != nil {
		return snapshot{}, channelState{}, nil, err
	}
	if b, now := banned.inForce(st.tick(s.now())); now {
		return snapshot{}, channelState{}, nil, b.refuse(image, c.Digest, "in channel "+channel).
			hinted("kiln rollback %s --channel %s, or promote another version", image, channel)
	}
	return st, c, banned, nil
}

// reissue swaps in a new statement of a channel, whatever it holds by then. What
// became known of its ancestors meanwhile, whose ledgers the swap does not
// compare, is asked for again: KindRevoked.
func (s *Service) reissue(ctx context.Context, image, channel string) (snapshot, error) {
	if _, err := s.admit(ctx, s.mover(image, channel, "", false)); err != nil {
		return snapshot{}, err
	}
	for range maxAttempts {
		st, c, banned, err := s.held(ctx, image, channel)
		if err != nil {
			return snapshot{}, err
		}
		if err := s.vouched(ctx, image, channel, st, c); err != nil {
			return snapshot{}, err
		}
		next, err := s.issue(ctx, st.state, image, channel, c, banned.next(st.tick(s.now())))
		if err != nil {
			return snapshot{}, err
		}
		value, err := next.encode()
		if err != nil {
			return snapshot{}, err
		}
		ptr, err := s.pointers.Swap(ctx, st.pointer, value)
		if err == nil {
			fresh := snapshot{state: next, pointer: ptr}
			late, err := s.lateBan(ctx, image, channel, fresh)
			if late && err == nil {
				continue
			}
			return fresh, err
		}
		if !errors.Is(err, store.ErrConflict) {
			return snapshot{}, fmt.Errorf("issue statement of %s %s: %w", image, channel, err)
		}
		if err := pause(ctx); err != nil {
			return snapshot{}, err
		}
	}
	return snapshot{}, fmt.Errorf("issue statement of %s %s: the state keeps changing", image, channel)
}

// lateBan looks once more at what forbids what a channel holds, after its
// statement in st was stored: KindRevoked, or late if the statement outlives
// when a revocation begins.
func (s *Service) lateBan(ctx context.Context, image, channel string, st snapshot) (late bool, err error) {
	c, now := st.Channels[channel], st.tick(s.now())
	banned, err := s.bansOn(ctx, image, c.Digest, st)
	if err != nil {
		return false, err
	}
	if b, is := banned.inForce(now); is {
		return false, b.refuse(image, c.Digest, "in channel "+channel).
			hinted("kiln rollback %s --channel %s, or promote another version", image, channel)
	}
	return c.Issue.outlives(banned.next(now)), nil
}

// resolution answers with everything that a deployer may want to know.
func (s *Service) resolution(ctx context.Context, req ResolveRequest, c channelState) (Resolution, error) {
	_, content, err := s.version(ctx, req.Image, c.Digest)
	if err != nil {
		return Resolution{}, err
	}
	r := Resolution{
		Schema: ResolveSchema, Image: req.Image, Channel: req.Channel, Digest: c.Digest,
		Reference: req.Image + "@" + string(c.Digest), Sequence: c.Issue.Sequence,
		PromotedAt: c.At, PromotedBy: c.By, Statement: c.Statement,
	}
	if r.Tags, err = s.versionTags(ctx, req.Image, c.Digest); err != nil {
		return Resolution{}, err
	}
	if r.Platforms, err = s.platforms(ctx, req.Image, content); err != nil {
		return Resolution{}, err
	}
	if r.Evidence, err = s.evidence(ctx, req.Image, c.Digest); err != nil {
		return Resolution{}, err
	}
	return r, nil
}

// platforms reads what an image or an index is made for. An artifact that is
// neither has none.
func (s *Service) platforms(ctx context.Context, image string, manifest []byte) ([]string, error) {
	var m struct {
		Config    ocispec.Descriptor   `json:"config"`
		Manifests []ocispec.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, errorf(KindVerification, "manifest of %s: %w", image, err)
	}
	names := []string{}
	add := func(p *ocispec.Platform) {
		if p == nil || p.OS == "" || p.Architecture == "" {
			return
		}
		name := p.OS + "/" + p.Architecture
		if p.Variant != "" {
			name += "/" + p.Variant
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, d := range m.Manifests {
		add(d.Platform)
	}
	if isConfig(m.Config) {
		content, err := s.blob(ctx, image, m.Config.Digest, maxConfig)
		if err != nil {
			return nil, fmt.Errorf("config of %s: %w", image, err)
		}
		var p ocispec.Platform
		if json.Unmarshal(content, &p) == nil {
			add(&p)
		}
	}
	return names, nil
}

func isConfig(d ocispec.Descriptor) bool {
	return checkDigest(d.Digest) == nil &&
		(d.MediaType == ocispec.MediaTypeImageConfig || d.MediaType == "application/vnd.docker.container.image.v1+json")
}

// versionTags lists the version tags of a digest, newest first.
func (s *Service) versionTags(ctx context.Context, image string, d digest.Digest) ([]string, error) {
	tags := []string{}
	for v, err := range s.entries(ctx, image, "", d) {
		if err != nil {
			return nil, err
		}
		tags = append(tags, v.Tag)
	}
	return tags, nil
}
