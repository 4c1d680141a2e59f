package promotion

import (
	"context"

	"github.com/opencontainers/go-digest"
)

// Rollback implements Operations.
func (s *Service) Rollback(ctx context.Context, req RollbackRequest) (Promotion, error) {
	if err := s.checkChannel(req.Image, req.Channel); err != nil {
		return Promotion{}, err
	}
	if err := checkWords(req.Reason, req.Expect); err != nil {
		return Promotion{}, err
	}
	if req.To != "" {
		if err := checkDigest(req.To); err != nil {
			return Promotion{}, err
		}
	}
	st, err := s.state(ctx, req.Image)
	if err != nil {
		return Promotion{}, err
	}
	if err := expected(st, req.Image, req.Channel, req.Expect); err != nil {
		return Promotion{}, err
	}
	if _, ok := st.Channels[req.Channel]; !ok {
		return Promotion{}, errorf(KindNotFound, "channel %s of %s holds nothing", req.Channel, req.Image)
	}
	if req.To == st.Channels[req.Channel].Digest {
		return s.existing(ctx, req.Image, req.Channel, st)
	}
	target, err := s.target(ctx, st, req)
	if err != nil {
		return Promotion{}, err
	}
	subject, _, err := s.version(ctx, req.Image, target)
	if err != nil {
		return Promotion{}, err
	}
	return s.move(ctx, st, move{
		action: ActionRollback, image: req.Image, channel: req.Channel, subject: subject, by: req.By, reason: req.Reason,
	})
}

// target is where a rollback goes.
func (s *Service) target(ctx context.Context, st snapshot, req RollbackRequest) (digest.Digest, error) {
	if req.To != "" {
		held, err := s.reached(ctx, req.Image, req.Channel, req.To, st)
		if err == nil && !held {
			err = errorf(KindNotFound, "channel %s of %s never held %s", req.Channel, req.Image, req.To).
				hinted("kiln history %s --channel %s lists what it held; kiln promote moves it to something new", req.Image, req.Channel)
		}
		return req.To, err
	}
	now := st.tick(s.now())
	current := st.Channels[req.Channel]
	left := map[digest.Digest]bool{current.Digest: true} // rolled back from, or held now
	var candidates []digest.Digest
	for _, r := range s.walkChannel(ctx, req.Image, current.Record) {
		if r.err != nil {
			return "", r.err
		}
		if r.Action == ActionRollback {
			left[r.Previous] = true
		}
		candidates = append(candidates, r.Digest)
	}
	for _, d := range candidates {
		if left[d] {
			continue
		}
		left[d] = true
		banned, err := s.bansOn(ctx, req.Image, d, st)
		if err != nil {
			return "", err
		}
		if _, gone := banned.inForce(now); gone {
			continue
		}
		tags, err := s.versionTags(ctx, req.Image, d)
		if err != nil || len(tags) > 0 {
			return d, err
		}
	}
	return "", errorf(KindNotFound, "channel %s of %s has nothing to go back to: it held no other digest before that is neither revoked nor removed nor was rolled back from", req.Channel, req.Image).
		hinted("kiln history %s --channel %s lists what it held; --to names one of those", req.Image, req.Channel)
}
