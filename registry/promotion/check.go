package promotion

import (
	"context"
	"slices"

	"kiln/policy"

	"github.com/opencontainers/go-digest"
)

// maxChecks bounds the checks that run at once: whoever may pull may ask, each
// reads up to maxEvidenceBytes, and promotions are to find room for theirs.
const maxChecks = 2

// Check implements Operations. It asks all that Promote asks, in its order, and
// goes on where that would stop.
func (s *Service) Check(ctx context.Context, req CheckRequest) (Check, error) {
	if err := s.checkChannel(req.Image, req.Channel); err != nil {
		return Check{}, err
	}
	if err := checkDigest(req.Digest); err != nil {
		return Check{}, err
	}
	st, err := s.state(ctx, req.Image)
	if err != nil {
		return Check{}, err
	}
	subject, _, err := s.version(ctx, req.Image, req.Digest)
	if err != nil {
		return Check{}, err
	}
	t, err := s.Trust(ctx)
	if err != nil {
		return Check{}, err
	}
	m := move{action: ActionPromote, image: req.Image, channel: req.Channel, subject: subject, by: req.By}
	if m.by == "" && s.signer != nil {
		m.by = s.signer.KeyID()
	}
	c := Check{Schema: CheckSchema, Image: req.Image, Digest: req.Digest, Channel: req.Channel, At: s.now().UTC()}
	refused, err := s.refusals(ctx, st, m, t)
	if err != nil {
		return Check{}, err
	}
	select {
	case s.checks <- struct{}{}:
		defer func() { <-s.checks }()
	case <-ctx.Done():
		return Check{}, ctx.Err()
	}
	j, err := s.judge(ctx, st, m, t)
	beyond, isBeyond := beyondBounds(err)
	switch {
	case ctx.Err() != nil && err != nil:
		return Check{}, err
	case err != nil && j.document == nil && isBeyond:
		refused = append(refused, beyond.reasons()...)
	case err != nil && j.document == nil:
		return Check{}, err
	}
	c.Allow = err == nil && j.decision.Allow && len(refused) == 0
	c.Refusals, c.Reasons = refused, append([]Reason{}, j.decision.Reasons...)
	c.Findings = findings(j.facts, slices.Concat(refused, c.Reasons), j.document != nil, j.policy)
	if j.ignored != nil {
		c.Ignored = j.ignored.Error()
	}
	c.Policy, c.Facts, c.Document = digest.Digest(j.decision.Policy), digest.Digest(j.decision.Facts), j.document
	if j.policy != nil {
		c.Policy = j.policy.Digest()
	}
	return c, nil
}

// refusals are what a move would be refused with before any policy is asked,
// and for want of a version tag.
func (s *Service) refusals(ctx context.Context, st snapshot, m move, t Trust) ([]Reason, error) {
	list := []Reason{}
	add := func(rule string, err error) error {
		e, ok := err.(*Error)
		if !ok || e.Kind != KindDenied {
			return err
		}
		for _, r := range e.reasons() {
			if r.Rule == string(KindDenied) {
				r.Rule = rule
			}
			list = append(list, r)
		}
		return nil
	}
	if s.signer != nil && !t.open(RolePromote) {
		if err := add("promotion-key", s.mayPromote(t, m)); err != nil {
			return nil, err
		}
	}
	return list, add("version", s.requireVersion(ctx, m.image, m.subject.Digest, st))
}

// mayPromote refuses the promotion key where the trust does not list it for
// this image, channel and time.
func (s *Service) mayPromote(t Trust, m move) error {
	return t.mayPlay(RolePromote, s.signer.KeyID(), m.image, m.channel, s.now())
}

// Against is the same check under another policy, which is asked about the same
// facts here. Without facts there is nothing to ask about: KindDenied if they
// were gathered and are not told.
func (c Check) Against(ctx context.Context, p *policy.Policy) (Check, error) {
	if len(c.Document) == 0 && c.Facts != "" {
		return Check{}, errorf(KindDenied, "the facts of %s@%s are not told to you, so no other policy can be asked", c.Image, c.Digest).
			hinted("an admin grants the verb pull for all that it was baked on")
	}
	if len(c.Document) == 0 {
		return c, nil
	}
	text, err := encodeCanonical(c.Document)
	if err != nil {
		return Check{}, err
	}
	f, err := policy.ParseFacts(text)
	if err != nil {
		return Check{}, err
	}
	d, err := p.EvaluateText(ctx, text)
	if ctx.Err() != nil {
		return Check{}, ctx.Err()
	}
	c.Allow = err == nil && d.Allow && len(c.Refusals) == 0
	c.Reasons = append([]Reason{}, d.Reasons...)
	c.Findings = findings(f, slices.Concat(c.Refusals, c.Reasons), true, p)
	c.Policy, c.Facts = digest.Digest(d.Policy), digest.Digest(d.Facts)
	return c, nil
}
