package promotion

import "context"

// warnRevoked says in the answer to a move that the version is revoked by now,
// itself or by an ancestor. The move looked at that before its commit, in ledgers
// that the commit does not hold: a revocation that got in between saw no channel
// to stop, and nobody who moves it would learn. The move stands, and the channel
// answers nothing; so an error in looking is only logged.
func (s *Service) warnRevoked(ctx context.Context, p *Promotion) {
	st, err := s.state(ctx, p.Image)
	var banned bans
	if err == nil {
		banned, err = s.bansOn(ctx, p.Image, p.Digest, st)
	}
	if err != nil {
		s.log.Warn("whether it was revoked meanwhile is not known", "repo", p.Image, "digest", p.Digest, "err", err)
		return
	}
	if b, is := banned.inForce(st.tick(s.now())); is {
		p.RevokedBecause = b.because(p.Image, p.Digest)
	}
}
