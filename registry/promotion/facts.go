package promotion

import (
	"context"

	"kiln/policy"
)

// facts gathers all that a policy is asked about a move. KindDenied, with
// reasons, for evidence beyond what is read.
func (s *Service) facts(ctx context.Context, st snapshot, m move, t Trust, f *policy.Facts) error {
	now := s.now()
	_, revoked := st.revoked(m.subject.Digest, now)
	*f = policy.Facts{
		Action: string(m.action), Now: now, Image: m.image, Digest: string(m.subject.Digest),
		Channel: m.channel, Channels: s.channels, Revoked: revoked, RequestedBy: m.by,
	}
	for _, c := range s.channels {
		been, err := s.reached(ctx, m.image, c, m.subject.Digest, st)
		if err != nil {
			return err
		}
		if been {
			f.BeenIn = append(f.BeenIn, c)
		}
	}
	return s.gather(ctx, t, m.image, m.subject.Digest, f)
}
