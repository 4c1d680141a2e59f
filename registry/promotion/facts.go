package promotion

import (
	"context"
	"slices"
	"strings"
	"time"

	"kiln/policy"

	"github.com/opencontainers/go-digest"
)

// facts gathers all that a policy is asked about a move. KindDenied, with
// reasons, for evidence beyond what is read. ignored says why some of what is
// attached does not count.
func (s *Service) facts(ctx context.Context, st snapshot, m move, t Trust, f *policy.Facts) (ignored, err error) {
	now, d := s.now(), m.subject.Digest
	own, err := s.ownBans(ctx, m.image, d, st)
	if err != nil {
		return nil, err
	}
	ban, revoked := own.inForce(st.tick(now))
	*f = policy.Facts{
		Action: string(m.action), Now: now, Image: m.image, Digest: string(d),
		Channel: m.channel, Channels: s.channels, Revoked: revoked, RequestedBy: m.by,
	}
	if revoked {
		f.RevokedBecause = ban.because(m.image, d)
	}
	plan(f, own, st.tick(now))
	for _, c := range s.channels {
		been, err := s.reached(ctx, m.image, c, d, st)
		if err != nil {
			return nil, err
		}
		if been {
			f.BeenIn = append(f.BeenIn, c)
		}
	}
	if err := s.soak(ctx, st, d, f); err != nil {
		return nil, err
	}
	if err := s.approvals(ctx, d, f); err != nil {
		return nil, err
	}
	if err := s.ancestry(ctx, t, st, f); err != nil {
		return nil, err
	}
	return s.gather(ctx, t, st, f)
}

// plan notes the first planned revocation that hits the version, unless one is
// in force.
func plan(f *policy.Facts, found bans, now time.Time) {
	b, is := found.planned(now)
	if !is || f.Revoked || f.RevokedFrom != nil && !b.At.Before(*f.RevokedFrom) {
		return
	}
	f.RevokedFrom, f.RevokedBecause = in(b.At), b.because(f.Image, digest.Digest(f.Digest))
}

// soak finds when the version entered the channel before, the last time.
func (s *Service) soak(ctx context.Context, st snapshot, d digest.Digest, f *policy.Facts) error {
	at := slices.Index(s.channels, f.Channel)
	if at < 1 {
		return nil
	}
	before := s.channels[at-1]
	f.Soak.Channel = before
	if held := st.Channels[before]; held.Digest == d {
		f.Soak.Since = in(held.At)
		return nil
	}
	if !slices.Contains(f.BeenIn, before) {
		return nil
	}
	for _, r := range s.walkChannel(ctx, f.Image, st.Channels[before].Record) {
		if r.err != nil {
			return r.err
		}
		if r.Digest == d && (r.Action == ActionPromote || r.Action == ActionRollback) {
			f.Soak.Since = in(r.At)
			return nil
		}
	}
	return nil
}

func in(t time.Time) *time.Time {
	t = t.UTC()
	return &t
}

// approvals lists who said yes: who handed it in, where the server knew them, so
// that nobody counts twice for saying it by name and by key; else who signed it.
func (s *Service) approvals(ctx context.Context, d digest.Digest, f *policy.Facts) error {
	list, err := s.Approvals(ctx, ApprovalsRequest{Image: f.Image, Digest: d, Channel: f.Channel})
	if err != nil {
		return err
	}
	for _, a := range list.Approvals {
		by := a.By
		if _, byKey := strings.CutPrefix(by, "sha256:"); byKey && a.KeyID != "" {
			by = a.KeyID // the promotion key wrote it down
		}
		f.Approvals = append(f.Approvals, policy.Approval{By: by, KeyID: a.KeyID, Channel: a.Channel, At: a.At, Trusted: a.Trusted})
		if a.Evidence != "" {
			f.Evidence = append(f.Evidence, string(a.Evidence))
		}
	}
	return nil
}
