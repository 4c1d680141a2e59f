package promotion

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"kiln/policy"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxDecisions bounds the decisions that are kept of an image.
const maxDecisions = 200

// storedDecision is an object under images/<i>/decisions/: what was asked, on
// which facts, and what the policy said, so that it can be replayed.
type storedDecision struct {
	Schema   string          `json:"schema"` // kiln.decision/v1
	At       time.Time       `json:"at"`
	By       string          `json:"by"`
	Facts    json.RawMessage `json:"facts"` // canonical
	Decision policy.Decision `json:"decision"`
}

// version finds the manifest that shall move and checks its bytes.
func (s *Service) version(ctx context.Context, image string, d digest.Digest) (ocispec.Descriptor, []byte, error) {
	desc, content, err := s.registry.Manifest(ctx, image, d)
	switch KindOf(err) {
	case "":
	case KindNotFound:
		return desc, nil, errorf(KindNotFound, "%s has no version %s", image, d).hinted("kiln versions %s lists them", image)
	case KindVerification:
		return desc, nil, damaged(image, d)
	default:
		return desc, nil, fmt.Errorf("manifest %s@%s: %w", image, d, err)
	}
	if d.Algorithm().FromBytes(content) != d {
		return desc, nil, damaged(image, d)
	}
	return desc, content, nil
}

func damaged(image string, d digest.Digest) error {
	return errorf(KindVerification, "manifest %s@%s: the bytes in the store do not match the digest", image, d).
		hinted("kiln doctor --scrub says what else is damaged; bake it again or restore a backup")
}

// decide gathers the facts and asks the policy: KindDenied with its reasons.
func (s *Service) decide(ctx context.Context, st snapshot, m move, t Trust) (policy.Decision, error) {
	now := s.now()
	_, revoked := st.revoked(m.subject.Digest, now)
	f := policy.Facts{
		Action: string(m.action), Now: now, Image: m.image, Digest: string(m.subject.Digest),
		Channel: m.channel, Channels: s.channels, Revoked: revoked,
	}
	for _, c := range s.channels {
		been, err := s.reached(ctx, m.image, c, m.subject.Digest, st)
		if err != nil {
			return policy.Decision{}, err
		}
		if been {
			f.BeenIn = append(f.BeenIn, c)
		}
	}
	if err := s.gather(ctx, t, m.image, m.subject.Digest, &f); err != nil {
		return policy.Decision{}, err
	}
	d, err := s.policy.Evaluate(ctx, f)
	s.keepDecision(ctx, f, d, m.by)
	if err != nil && ctx.Err() != nil {
		return d, err
	}
	if err != nil || !d.Allow {
		e := errorf(KindDenied, "%s %s@%s to %s is denied", m.action, m.image, m.subject.Digest, m.channel)
		e.Reasons, e.Err = d.Reasons, err
		return d, e
	}
	return d, nil
}

// keepDecision stores a decision and drops the oldest beyond maxDecisions. It
// is for people to look back at; nothing rests on it.
func (s *Service) keepDecision(ctx context.Context, f policy.Facts, d policy.Decision, by string) {
	if err := s.storeDecision(ctx, f, d, by); err != nil {
		s.log.Warn("decision not kept", "repo", f.Image, "digest", f.Digest, "err", err)
	}
}

func (s *Service) storeDecision(ctx context.Context, f policy.Facts, d policy.Decision, by string) error {
	facts, err := f.Canonical()
	if err != nil {
		return err
	}
	content, err := json.Marshal(storedDecision{Schema: "kiln.decision/v1", At: f.Now.UTC(), By: by, Facts: facts, Decision: d})
	if err != nil {
		return err
	}
	prefix := store.ImageKey(f.Image) + "decisions/"
	key := fmt.Sprintf("%s%019d-%s", prefix, math.MaxInt64-f.Now.UnixNano(), digest.FromBytes(content).Encoded()[:16])
	if err := s.store.Put(ctx, key, bytes.NewReader(content)); err != nil {
		return err
	}
	kept := 0
	for info, err := range s.store.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		if kept++; kept > maxDecisions {
			if err := s.store.Delete(ctx, info.Key); err != nil {
				return err
			}
		}
	}
	return nil
}
