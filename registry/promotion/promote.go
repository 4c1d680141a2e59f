package promotion

import (
	"context"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
)

// Promote implements Operations.
func (s *Service) Promote(ctx context.Context, req PromoteRequest) (Promotion, error) {
	if err := s.checkChannel(req.Image, req.Channel); err != nil {
		return Promotion{}, err
	}
	if err := checkDigest(req.Digest); err != nil {
		return Promotion{}, err
	}
	if err := checkWords(req.Reason, req.Expect); err != nil {
		return Promotion{}, err
	}
	st, err := s.state(ctx, req.Image)
	if err != nil {
		return Promotion{}, err
	}
	if err := expected(st, req.Image, req.Channel, req.Expect); err != nil {
		return Promotion{}, err
	}
	subject, _, err := s.version(ctx, req.Image, req.Digest)
	if err != nil {
		return Promotion{}, err
	}
	if st.Channels[req.Channel].Digest == req.Digest {
		return s.existing(ctx, req.Image, req.Channel, st)
	}
	p, err := s.move(ctx, st, move{
		action: ActionPromote, image: req.Image, channel: req.Channel, subject: subject, by: req.By, reason: req.Reason,
	})
	// Two may promote the same: the later one finds it done.
	if e, ok := err.(*Error); ok && e.Kind == KindConflict && e.Current == req.Digest && req.Expect == "" {
		if st, err := s.state(ctx, req.Image); err == nil && st.Channels[req.Channel].Digest == req.Digest {
			return s.existing(ctx, req.Image, req.Channel, st)
		}
	}
	return p, err
}

// move checks the promotion key, asks the policy and commits.
func (s *Service) move(ctx context.Context, st snapshot, m move) (Promotion, error) {
	if s.signer == nil {
		return Promotion{}, errorf(KindDenied, "%w", ErrNoSigner).
			hinted("give --promotion-key or KILN_PROMOTION_KEY; kiln keygen makes one")
	}
	if m.by == "" {
		m.by = s.signer.KeyID()
	}
	t, err := s.Trust(ctx)
	if err != nil {
		return Promotion{}, err
	}
	if !t.open(RolePromote) {
		if _, err := s.admit(ctx, s.mover(m.image, m.channel, m.by, false)); err != nil {
			return Promotion{}, err
		}
	}
	j, err := s.decide(ctx, st, m, t)
	if err != nil {
		return Promotion{}, err
	}
	p, err := s.allowed(ctx, st, m, j)
	switch e, _ := err.(*Error); {
	case err == nil:
		s.keepDecision(ctx, j, nil, p.Record)
		s.summarize(ctx, m.image, p.Record, m.subject)
		s.warnRevoked(ctx, &p)
	case e != nil && e.Kind == KindDenied:
		s.keepDecision(ctx, j, e.reasons(), "")
	}
	return p, err
}

// allowed commits a move that the policy allows. What it rests on is kept for
// good, so before that everything is asked that may refuse it yet.
func (s *Service) allowed(ctx context.Context, st snapshot, m move, j judgement) (Promotion, error) {
	if err := s.requireVersion(ctx, m.image, m.subject.Digest, st); err != nil {
		return Promotion{}, err
	}
	m.policy, m.facts = digest.Digest(j.decision.Policy), digest.Digest(j.decision.Facts)
	recorded, err := s.admit(ctx, s.mover(m.image, m.channel, m.by, true))
	if err != nil {
		return Promotion{}, err
	}
	if _, err := s.mayHold(ctx, m, st); err != nil {
		return Promotion{}, err
	}
	if err := s.keepAllowed(ctx, j); err != nil {
		return Promotion{}, err
	}
	p, err := s.commit(ctx, st, m)
	if err != nil {
		return Promotion{}, err
	}
	if recorded {
		p.RecordedKey = s.signer.KeyID()
	}
	return p, nil
}

// requireVersion denies what no version tag names, or soon none does: a bake
// that did not finish, and a version that is removed. It reads the tags after
// st, so a swap from st succeeds only while they are there: see retire.
func (s *Service) requireVersion(ctx context.Context, image string, d digest.Digest, st snapshot) error {
	reason := Reason{
		Rule: "version", Message: "no version tag names it: its bake did not finish, it was removed, or it is no image of a bake",
		Fix: "bake it again; kiln versions " + image + " lists what can be promoted",
	}
	if _, active := st.retiring(d, s.now()); active {
		reason.Message = "it is being removed right now"
	} else if tags, err := s.versionTags(ctx, image, d); err != nil || len(tags) > 0 {
		return err
	}
	e := errorf(KindDenied, "%s is stored, but no version of %s", d, image)
	e.Reasons = []Reason{reason}
	return e
}

// existing answers with the record that put the channel where it is: KindRevoked
// if it answers no more.
func (s *Service) existing(ctx context.Context, image, channel string, st snapshot) (Promotion, error) {
	held := st.Channels[channel].Digest
	banned, err := s.bansOn(ctx, image, held, st)
	if err != nil {
		return Promotion{}, err
	}
	if b, is := banned.inForce(st.tick(s.now())); is {
		return Promotion{}, b.refuse(image, held, "in channel "+channel).hinted("kiln restore takes the revocation back")
	}
	d := st.Channels[channel].Record
	r, err := s.record(ctx, image, d)
	if err != nil {
		return Promotion{}, err
	}
	if err := s.repair(ctx, image, st); err != nil {
		s.log.Warn("record not linked yet", "repo", image, "digest", st.Head, "err", err)
	}
	if subject, _, err := s.version(ctx, image, r.Digest); err == nil {
		s.summarize(ctx, image, d, subject)
	}
	p := r.promotion(d)
	p.Unchanged = true
	return p, nil
}

// expected refuses a channel that is not where the caller thinks.
func expected(st snapshot, image, channel, expect string) error {
	current := st.Channels[channel].Digest
	if expect == "" || expect == string(current) || expect == ExpectNone && current == "" {
		return nil
	}
	return moved(image, channel, current)
}

// checkWords refuses what is too long or malformed in a request.
func checkWords(reason, expect string) error {
	if len(reason) > MaxReason {
		return errorf(KindInvalid, "a reason of %d bytes; at most %d are kept", len(reason), MaxReason)
	}
	if expect != "" && expect != ExpectNone && registry.CheckDigest(digest.Digest(expect)) != nil {
		return errorf(KindInvalid, "expect %q is neither a digest nor %q", clip(expect), ExpectNone)
	}
	return nil
}
