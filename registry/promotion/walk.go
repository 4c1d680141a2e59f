package promotion

import (
	"context"
	"iter"

	"github.com/opencontainers/go-digest"
)

// walked is a record of a walk, or the error that ends it.
type walked struct {
	Record
	err error
}

// walk yields the records from d back to the one after sequence stop, each
// with its digest. A chain that skips or repeats a sequence is an error.
func (s *Service) walk(ctx context.Context, image string, d digest.Digest, stop int64) iter.Seq2[digest.Digest, walked] {
	return s.follow(ctx, image, d, func(r Record) digest.Digest {
		if r.Sequence-1 <= stop {
			return ""
		}
		return r.PrevRecord
	}, func(newer, older Record) bool { return older.Sequence == newer.Sequence-1 })
}

// walkChannel yields the records of one channel from d back to its first.
func (s *Service) walkChannel(ctx context.Context, image string, d digest.Digest) iter.Seq2[digest.Digest, walked] {
	return s.follow(ctx, image, d, func(r Record) digest.Digest { return r.PrevInChannel },
		func(newer, older Record) bool {
			return older.Sequence < newer.Sequence && older.Channel == newer.Channel && older.Digest == newer.Previous
		})
}

// follow reads a chain of records: next names the record before one, fits says
// whether two belong next to each other.
func (s *Service) follow(ctx context.Context, image string, d digest.Digest,
	next func(Record) digest.Digest, fits func(newer, older Record) bool,
) iter.Seq2[digest.Digest, walked] {
	return func(yield func(digest.Digest, walked) bool) {
		var newer Record
		for d != "" {
			r, err := s.record(ctx, image, d)
			if err == nil && newer.Sequence > 0 && !fits(newer, r) {
				err = errorf(KindVerification, "ledger of %s: record %s (%d) does not precede number %d", image, d, r.Sequence, newer.Sequence)
			}
			if !yield(d, walked{Record: r, err: err}) || err != nil {
				return
			}
			newer, d = r, next(r)
		}
	}
}
