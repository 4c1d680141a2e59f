package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxDepth bounds how many versions baked on one another are followed.
const maxDepth = 32

// needs says what needs a digest of an image, as of st; nothing if it may be
// removed.
func (s *Service) needs(ctx context.Context, image string, d digest.Digest, st snapshot) ([]Reason, error) {
	return s.needsAt(ctx, image, d, st, 0)
}

func (s *Service) needsAt(ctx context.Context, image string, d digest.Digest, st snapshot, depth int) ([]Reason, error) {
	reasons, err := s.inChannels(ctx, image, d, st)
	if err != nil {
		return nil, err
	}
	outside, err := s.outside(ctx, image, d, depth)
	return append(reasons, outside...), err
}

// outside says what needs a digest without the state of its image saying so:
// leases, and versions that were baked on it.
func (s *Service) outside(ctx context.Context, image string, d digest.Digest, depth int) ([]Reason, error) {
	var reasons []Reason
	leases, err := s.leasedBy(ctx, image, d)
	if err != nil {
		return nil, err
	}
	for _, l := range leases {
		reasons = append(reasons, Reason{
			Rule: "lease", Message: fmt.Sprintf("%s leases it until %s", l.Holder, l.Expires.UTC().Format(time.RFC3339)),
			Fix: fmt.Sprintf("wait, or kiln lease %s@%s --holder %s --release", image, d, l.Holder),
		})
	}
	children, err := s.children(ctx, image, d, depth)
	if err != nil {
		return nil, err
	}
	for _, c := range children {
		reasons = append(reasons, Reason{Rule: "parent", Message: c + " is baked on it", Fix: "kiln delete " + c + " first"})
	}
	return reasons, nil
}

// inChannels says which channels hold a digest, or held it in the part of
// their history that is kept.
func (s *Service) inChannels(ctx context.Context, image string, d digest.Digest, st snapshot) ([]Reason, error) {
	var reasons []Reason
	depth := ruleOf(s.rules, image).History
	for _, channel := range s.channelsOf(st) {
		if st.Channels[channel].Digest == d {
			reasons = append(reasons, Reason{
				Rule: "channel", Message: "channel " + channel + " of " + image + " holds it",
				Fix: fmt.Sprintf("kiln promote %s@DIGEST --to %s or kiln rollback %s --channel %s moves it", image, channel, image, channel),
			})
			continue
		}
		was, err := s.reached(ctx, image, channel, d, st)
		if err == nil && was && depth > 0 {
			var kept []digest.Digest
			kept, err = s.keptHistory(ctx, image, channel, depth, st)
			was = slices.Contains(kept, d)
		}
		if err != nil {
			return nil, err
		}
		if was {
			reasons = append(reasons, Reason{
				Rule: "history", Message: "it was promoted to " + channel + ": it and its evidence stay, for rollbacks and for the ledger",
				Fix: "a retention rule with history lets old digests of a channel go",
			})
		}
	}
	return reasons, nil
}

// channelsOf are the configured channels and those that the state has besides.
func (s *Service) channelsOf(st snapshot) []string {
	names := slices.Clone(s.channels)
	for _, name := range slices.Sorted(maps.Keys(st.Channels)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// keptHistory lists the newest distinct digests that a channel held before what
// it holds now.
func (s *Service) keptHistory(ctx context.Context, image, channel string, depth int, st snapshot) ([]digest.Digest, error) {
	c := st.Channels[channel]
	var kept []digest.Digest
	for _, r := range s.walkChannel(ctx, image, c.Record) {
		if r.err != nil {
			return nil, r.err
		}
		if r.Digest == c.Digest || slices.Contains(kept, r.Digest) {
			continue
		}
		if len(kept) == depth {
			break
		}
		kept = append(kept, r.Digest)
	}
	return kept, nil
}

// children names what was baked on a digest, or on the image of one of its
// platforms, and is alive: it has a version tag or is needed itself.
func (s *Service) children(ctx context.Context, image string, d digest.Digest, depth int) ([]string, error) {
	if depth == maxDepth {
		return nil, fmt.Errorf("more than %d versions are baked on one another, up to %s", maxDepth, d)
	}
	names, err := s.asParent(ctx, image, d)
	if err != nil {
		return nil, err
	}
	var alive []string
	for _, name := range names {
		hints, err := s.namedBy(ctx, name, d)
		if err != nil {
			return nil, err
		}
		for _, c := range hints {
			is, err := s.alive(ctx, c.Image, c.Digest, depth)
			if err != nil {
				return nil, err
			}
			if child := c.Image + "@" + string(c.Digest); is && !slices.Contains(alive, child) {
				alive = append(alive, child)
			}
		}
	}
	return alive, nil
}

func (s *Service) alive(ctx context.Context, image string, d digest.Digest, depth int) (bool, error) {
	if there, err := s.linked(ctx, image, d); err != nil || !there {
		return false, err
	}
	tags, err := s.versionTags(ctx, image, d)
	if err != nil || len(tags) > 0 {
		return len(tags) > 0, err
	}
	st, err := s.state(ctx, image)
	if err != nil {
		return false, err
	}
	reasons, err := s.needsAt(ctx, image, d, st, depth+1)
	return len(reasons) > 0, err
}

// linked tells whether an image has a manifest.
func (s *Service) linked(ctx context.Context, image string, d digest.Digest) (bool, error) {
	_, err := s.store.Stat(ctx, store.ManifestLinkKey(image, d))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("manifest %s@%s: %w", image, d, err)
	}
	return true, nil
}

// checkNoRecord refuses a record that counts: the ledger is never removed.
func (s *Service) checkNoRecord(ctx context.Context, image string, d digest.Digest, st snapshot) error {
	r, err := s.record(ctx, image, d)
	if err != nil {
		return nil // none of ours
	}
	if counts, err := s.find(ctx, image, r.Sequence, st); err == nil && counts != d {
		return nil
	}
	return errorf(KindDenied, "%s is a record of the ledger of %s and stays", d, image)
}

// subject is what a manifest is evidence of; "" if of nothing.
func (s *Service) subject(ctx context.Context, image string, d digest.Digest) (digest.Digest, error) {
	_, content, err := s.registry.Manifest(ctx, image, d)
	if err != nil {
		return "", err
	}
	var m struct {
		Subject *ocispec.Descriptor `json:"subject"`
	}
	if json.Unmarshal(content, &m) != nil || m.Subject == nil || registry.CheckDigest(m.Subject.Digest) != nil {
		return "", nil
	}
	return m.Subject.Digest, nil
}
