package promotion

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// maxApprovals bounds the approvals of one version that are looked at.
const maxApprovals = 500

// approvalKey is the index's entry of an approval of a digest, newest first;
// without a sequence it is the prefix of all.
func approvalKey(image string, d digest.Digest, sequence int64) string {
	prefix := store.ImageKey(image) + "approvals/" + string(d) + "/"
	if sequence == 0 {
		return prefix
	}
	return prefix + newestFirst(sequence)
}

// Approvals implements Operations.
func (s *Service) Approvals(ctx context.Context, req ApprovalsRequest) (ApprovalList, error) {
	if err := checkImage(req.Image); err != nil {
		return ApprovalList{}, err
	}
	if err := checkDigest(req.Digest); err != nil {
		return ApprovalList{}, err
	}
	out := ApprovalList{Schema: ApprovalsSchema, Image: req.Image, Digest: req.Digest, Approvals: []Approval{}}
	var err error
	if out.StoreID, err = s.StoreID(ctx); err != nil {
		return ApprovalList{}, err
	}
	st, err := s.state(ctx, req.Image)
	if err != nil {
		return ApprovalList{}, err
	}
	list, err := s.approvalsAt(ctx, req, st)
	if err != nil {
		return ApprovalList{}, err
	}
	out.Approvals = append(out.Approvals, persons(list)...)
	return out, nil
}

// approvalsAt lists the approvals of a version for a channel, or for any, as of
// st, newest first.
func (s *Service) approvalsAt(ctx context.Context, req ApprovalsRequest, st snapshot) ([]Approval, error) {
	if st.Head == "" {
		return nil, nil
	}
	if err := s.index(ctx, req.Image, st); err != nil {
		return nil, err
	}
	t, err := s.Trust(ctx)
	if err != nil {
		return nil, err
	}
	var list []Approval
	for info, err := range s.store.List(ctx, approvalKey(req.Image, req.Digest, 0), "") {
		if err != nil {
			return nil, fmt.Errorf("approvals of %s@%s: %w", req.Image, req.Digest, err)
		}
		if len(list) == maxApprovals {
			return nil, errorf(KindDenied, "%s@%s has more than %d approvals", req.Image, req.Digest, maxApprovals)
		}
		r, d, err := s.indexedRecord(ctx, req.Image, info.Key)
		if err != nil {
			return nil, err
		}
		if r.Action != ActionApprove || r.Digest != req.Digest || req.Channel != "" && r.Channel != "" && r.Channel != req.Channel {
			continue
		}
		a := r.approval(d)
		if err := s.believe(ctx, t, &a, req.Channel, st); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// approval is a record as somebody's word; d is its digest.
func (r Record) approval(d digest.Digest) Approval {
	return Approval{
		Image: r.Image, Digest: r.Digest, Channel: r.Channel, Reason: r.Reason, At: r.At, By: r.By,
		Evidence: r.Evidence, Sequence: r.Sequence, Record: d,
	}
}

// believe judges an approval for a channel, or for its own where that is "", by
// the trust as it is now: the record must count and be signed by who may promote
// there, and what it names by who may approve.
func (s *Service) believe(ctx context.Context, t Trust, a *Approval, channel string, st snapshot) error {
	if counts, err := s.find(ctx, a.Image, a.Sequence, st); err != nil || counts != a.Record {
		return err
	}
	envelope, err := s.envelope(ctx, a.Image, a.Record)
	if err != nil {
		return err
	}
	if channel = cmp.Or(channel, a.Channel); channel != "" {
		a.Trusted, err = s.countsIn(ctx, t, a, channel, envelope)
		return err
	}
	// For any channel: whoever said it may be trusted for some.
	for _, c := range s.channels {
		counts, err := s.countsIn(ctx, t, a, c, envelope)
		if err != nil {
			return err
		}
		if counts {
			a.TrustedIn = append(a.TrustedIn, c)
		}
	}
	if a.Trusted = len(a.TrustedIn) == len(s.channels); a.Trusted {
		a.TrustedIn = nil
	}
	return nil
}

// countsIn tells whether an approval, whose record envelope holds, counts for a
// channel, and notes who signed it.
func (s *Service) countsIn(ctx context.Context, t Trust, a *Approval, channel string, envelope []byte) (bool, error) {
	movers, err := t.Verifier(RolePromote, a.Image, channel, s.now, nil)
	if err != nil {
		return false, unlessUntrusted(err)
	}
	// That the head reaches it says that it was there when what follows was made.
	if _, _, err := movers.VerifyEnvelopeAt(envelope, RecordPredicateType, a.Digest, a.At); err != nil {
		return false, nil
	}
	if a.Evidence == "" {
		return true, nil
	}
	key, err := s.approver(ctx, t, *a, channel)
	if key != "" {
		a.KeyID = key
	}
	return key != "", err
}

// approver is who signed an approval, if the trust lists them for approving the
// image and, unless it is "", the channel; "" else.
func (s *Service) approver(ctx context.Context, t Trust, a Approval, channel string) (keyID string, err error) {
	v, err := t.Verifier(RoleApprove, a.Image, channel, s.now, func(e digest.Digest) (time.Time, bool) { return a.At, e == a.Evidence })
	if err != nil {
		return "", unlessUntrusted(err)
	}
	bundle, err := s.bundle(ctx, a.Image, a.Evidence, maxApproval)
	if KindOf(err) == KindNotFound || KindOf(err) == KindVerification {
		return "", nil // without the word itself there is none
	}
	if err != nil {
		return "", err
	}
	id, err := s.StoreID(ctx)
	if err != nil {
		return "", err
	}
	if _, key, err := readApproval(v, bundle, a.Evidence, id, a.Image, a.Channel, a.Digest, s.now()); err == nil {
		return key, nil
	}
	return "", nil
}

// unlessUntrusted drops the error that says that the trust lists nobody.
func unlessUntrusted(err error) error {
	if KindOf(err) == KindDenied {
		return nil
	}
	return err
}

// persons keeps of each who approved the newest word for each channel. Who
// signs goes by the key or identity, whoever handed it in; who handed in signed
// ones is not counted besides by a mere word.
func persons(list []Approval) []Approval {
	type person struct{ who, channel string }
	signers := map[string]bool{}
	for _, a := range list {
		if a.counts() && a.KeyID != "" {
			signers[a.By] = true
		}
	}
	seen := map[person]bool{}
	var out []Approval
	for _, a := range list {
		p := person{"key " + a.KeyID, a.Channel}
		if a.KeyID == "" {
			p.who = "by " + a.By
		}
		if a.counts() && (seen[p] || a.KeyID == "" && signers[a.By]) {
			continue
		}
		seen[p] = seen[p] || a.counts()
		out = append(out, a)
	}
	return out
}
