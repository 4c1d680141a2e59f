package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"time"

	"github.com/opencontainers/go-digest"
)

// revocation is a version that must not be used from a time on, as the state
// has it.
type revocation struct {
	Record        digest.Digest   `json:"record"`
	Sequence      int64           `json:"sequence"`
	At            time.Time       `json:"at"`
	Reason        string          `json:"reason"`
	NoDescendants bool            `json:"no_descendants,omitempty"`
	Covers        []digest.Digest `json:"covers,omitempty"`
}

// Bounds of the revocations in a state; those before are found by the index.
const (
	maxRevoked      = 500
	maxRevokedBytes = 400 << 10
)

// maxCovers bounds the images of an index.
const maxCovers = 200

// errUnchanged ends an operation whose record the ledger has already.
var errUnchanged = errors.New("the ledger says so already")

// effective is from when on a revocation holds.
func (r Record) effective() time.Time {
	if r.Effective != nil {
		return *r.Effective
	}
	return r.At
}

// revocation is a record as the state has it; d is its digest.
func (r Record) revocation(d digest.Digest) revocation {
	return revocation{
		Record: d, Sequence: r.Sequence, At: r.effective(), Reason: r.Reason,
		NoDescendants: r.NoDescendants, Covers: r.Covers,
	}
}

// revoked is a record as the outcome of an operation; d is its digest.
func (r Record) revoked(d digest.Digest, now time.Time) Revocation {
	return Revocation{
		Image: r.Image, Digest: r.Digest, Reason: r.Reason, At: r.effective(), InForce: !now.Before(r.effective()),
		NoDescendants: r.NoDescendants, RevokedAt: r.At, By: r.By, Sequence: r.Sequence, Record: d,
	}
}

// against compares a revocation with another of the same version, which r is
// about to say: errUnchanged if it says no more, KindInvalid if it would take
// something back.
func (old revocation) against(r Record, now time.Time) error {
	weaker := errorf(KindInvalid, "%s@%s is revoked already, from %s on%s: this would take some of that back", r.Image, r.Digest, old.At.Format(time.RFC3339),
		map[bool]string{false: ", with what was baked on it"}[old.NoDescendants]).hinted("kiln restore it first")
	holds := !now.Before(old.At)
	switch {
	case r.NoDescendants && !old.NoDescendants:
		return weaker
	case r.Effective != nil && r.Effective.After(old.At):
		return weaker
	case r.NoDescendants == old.NoDescendants && (holds || r.Effective != nil && r.Effective.Equal(old.At)):
		return errUnchanged
	}
	return nil
}

// standing is the revocation of a digest itself, in force or yet to come.
func (s *Service) standing(ctx context.Context, image string, d digest.Digest, st snapshot) (revocation, bool, error) {
	if r, ok := st.Revoked[d]; ok || !st.MoreRevoked {
		return r, ok, nil
	}
	older, err := s.olderBans(ctx, image, d, st)
	for _, b := range older {
		if b.digest == d {
			return b.revocation, true, err
		}
	}
	return revocation{}, false, err
}

// after is the state after a record that moves no channel; s is left as it is.
func (s state) after(r Record, record digest.Digest) state {
	if r.Action != ActionRevoke && r.Action != ActionRestore {
		return s
	}
	s.Revoked = maps.Clone(s.Revoked)
	if s.Revoked == nil {
		s.Revoked = map[digest.Digest]revocation{}
	}
	delete(s.Revoked, r.Digest)
	if r.Action == ActionRestore {
		return s
	}
	s.Revoked[r.Digest] = r.revocation(record)
	for len(s.Revoked) > maxRevoked || len(s.Revoked) > 1 && size(s.Revoked) > maxRevokedBytes {
		oldest := r.Digest
		for d, other := range s.Revoked {
			if other.Sequence < s.Revoked[oldest].Sequence {
				oldest = d
			}
		}
		delete(s.Revoked, oldest)
		s.MoreRevoked = true
	}
	return s
}

func size(m map[digest.Digest]revocation) int {
	text, _ := json.Marshal(m) // always marshals
	return len(text)
}
