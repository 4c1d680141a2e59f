package promotion

import (
	"context"
	"errors"
	"fmt"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

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
// What it denies is listed; what it allows is for the caller to keep.
func (s *Service) decide(ctx context.Context, st snapshot, m move, t Trust) (judgement, error) {
	j, err := s.judge(ctx, st, m, t)
	beyond, refused := beyondBounds(err)
	switch {
	case ctx.Err() != nil && err != nil:
		return j, err
	case err == nil && j.decision.Allow:
		return j, nil
	case j.document == nil && !refused:
		return j, err // the store, not the version
	case j.document == nil:
		s.keepDecision(ctx, j, beyond.reasons(), "")
		return j, beyond
	}
	s.keepDecision(ctx, j, nil, "")
	e := errorf(KindDenied, "%s %s@%s to %s is denied", m.action, m.image, m.subject.Digest, m.channel)
	e.Reasons, e.Err = j.decision.Reasons, err
	if j.ignored != nil {
		e.Hint = "some of what is attached does not count: " + j.ignored.Error()
	}
	return j, e
}

// beyondBounds tells an error that refuses the version from one of the store.
func beyondBounds(err error) (*Error, bool) {
	e, ok := errors.AsType[*Error](err)
	return e, ok && e.Kind == KindDenied
}

// judge gathers the facts and asks the policy, and writes nothing. Without a
// document in what it returns the facts could not be gathered.
func (s *Service) judge(ctx context.Context, st snapshot, m move, t Trust) (judgement, error) {
	j := judgement{by: m.by, policy: s.policy.Load()}
	var err error
	if j.ignored, err = s.facts(ctx, st, m, t, &j.facts); err != nil {
		if registry.ErrorCode(err) == registry.CodeCorrupt {
			err = errorf(KindVerification, "evidence of %s@%s, or of what it was baked on, is damaged in the store: %w", m.image, m.subject.Digest, err).
				hinted("kiln doctor --scrub says what is damaged; attach it again or restore a backup")
		}
		return j, err
	}
	if j.document, err = j.facts.Canonical(); err != nil {
		return j, err
	}
	j.decision, err = j.policy.EvaluateText(ctx, j.document)
	return j, err
}
