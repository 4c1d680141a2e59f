package promotion

import (
	"context"
	"encoding/json"
	"slices"

	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

// vouched makes sure, before a statement is signed for what a channel holds,
// that promotion keys said so: in the statement before, and in the records since
// then, up to the head. A state is but what the store hands out; whoever can
// write there must not get what it says signed.
func (s *Service) vouched(ctx context.Context, image, channel string, st snapshot, c channelState) error {
	t, err := s.Trust(ctx)
	if err != nil {
		return err
	}
	said, err := s.said(ctx, t, image, channel, c)
	if err != nil {
		return err
	}
	if said.Sequence == st.Sequence {
		return nil
	}
	if said.Sequence > st.Sequence {
		return errorf(KindVerification, "the state of %s ends at number %d, and the statement of %s speaks of %d", image, st.Sequence, channel, said.Sequence)
	}
	if err := s.headVouched(ctx, t, image, st); err != nil {
		return err
	}
	restored := false
	for d, r := range s.walk(ctx, image, st.Head, said.Sequence) {
		if r.err != nil {
			return r.err
		}
		restored = restored || r.Action == ActionRestore && r.concerns(c.Digest)
		if r.Action == ActionRevoke && r.concerns(c.Digest) && !restored && !r.effective().After(st.tick(s.now())) {
			return errorf(KindRevoked, "%s@%s is revoked by record %s, which the state does not know", image, c.Digest, d)
		}
		if r.Channel == channel && (r.Action == ActionPromote || r.Action == ActionRollback) {
			return errorf(KindVerification, "the state of %s says that %s holds %s, and its record %s moved it to %s since", image, channel, c.Digest, d, r.Digest).
				hinted("somebody changed the store by hand or put back a part of it: promote again what %s shall hold", channel)
		}
	}
	return nil
}

// said reads the statement of a channel. A key that has ended since still says
// what it said.
func (s *Service) said(ctx context.Context, t Trust, image, channel string, c channelState) (Statement, error) {
	var said Statement
	v, err := t.Verifier(RolePromote, image, channel, s.now, nil)
	if err != nil {
		return said, err
	}
	st, _, err := v.VerifyEnvelopeAt(c.Statement, StatementPredicateType, c.Digest, c.Issue.Issued)
	if err != nil {
		return said, errorf(KindDenied, "%s of %s: what it holds is not said by a promotion key that is trusted: %w", channel, image, err).
			hinted("promote it again")
	}
	if err := json.Unmarshal(st.Predicate, &said); err != nil {
		return said, errorf(KindVerification, "statement of %s %s: %w", image, channel, err)
	}
	id, err := s.StoreID(ctx)
	if err != nil {
		return said, err
	}
	if st.Subject.Name != image || said.Channel != channel || said.StoreID != id || !said.Issued.Equal(c.Issue.Issued) {
		return said, errorf(KindVerification, "the statement of %s %s is about %s %s in store %s, issued %v", image, channel,
			clip(st.Subject.Name), clip(said.Channel), clip(said.StoreID), said.Issued)
	}
	return said, nil
}

// headVouched checks the record at the head: with it all before it are what they
// were, as each names the one before by its digest.
func (s *Service) headVouched(ctx context.Context, t Trust, image string, st snapshot) error {
	r, err := s.record(ctx, image, st.Head)
	if err != nil {
		return err
	}
	if r.Sequence != st.Sequence {
		return errorf(KindVerification, "the state of %s ends at number %d, and its newest record is %d", image, st.Sequence, r.Sequence)
	}
	envelope, err := s.envelope(ctx, image, st.Head)
	if err != nil {
		return err
	}
	v, err := t.Verifier(RolePromote, image, "", s.now, nil)
	if err != nil {
		return err
	}
	if _, _, err := v.VerifyEnvelopeAt(envelope, sign.PromotionPredicate, r.Digest, r.At); err != nil {
		return errorf(KindDenied, "the newest record of %s is not by a promotion key that is trusted: %w", image, err).
			hinted("promote again what the channels shall hold")
	}
	return nil
}

// concerns says whether a record is about a version, itself or as the image of
// a platform.
func (r Record) concerns(d digest.Digest) bool { return r.Digest == d || slices.Contains(r.Covers, d) }
