package s3store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/minio/minio-go/v7"
)

// racers is how many requests the probe sends at once.
const racers = 4

// probe finds out, on a key of its own, whether the service keeps conditions:
// of two creates at once one wins, a create over it is refused, of two swaps
// at once one wins, and one from an old ETag is refused.
func (s *Store) probe(ctx context.Context) error {
	id := make([]byte, 16)
	rand.Read(id) // never fails
	key := s.tmpKey("probe/" + hex.EncodeToString(id))
	defer s.remove(context.WithoutCancel(ctx), key)
	first, err := s.race(ctx, key, "", "creates")
	if err != nil {
		return err
	}
	second, err := s.race(ctx, key, first, "swaps")
	if err != nil {
		return err
	}
	if first == second {
		return s.unfit("it gives different bytes one ETag (%s)", first)
	}
	for _, old := range []string{"", first} {
		if _, done, err := s.try(ctx, key, old, "late"); err != nil {
			return err
		} else if done && old == "" {
			return s.unfit("it takes a create (If-None-Match: *) of what is there")
		} else if done {
			return s.unfit("it takes a swap (If-Match) from an ETag that was replaced")
		}
	}
	return nil
}

// race sends the same condition with different bytes at once. One has to win,
// and its bytes have to be there.
func (s *Store) race(ctx context.Context, key, from, what string) (etag string, err error) {
	type result struct {
		etag string
		body string
		done bool
		err  error
	}
	results := make(chan result, racers)
	for i := range racers {
		go func() {
			r := result{body: fmt.Sprintf("%s %d of %s", what, i, key)}
			r.etag, r.done, r.err = s.try(ctx, key, from, r.body)
			results <- r
		}()
	}
	var winners []result
	for range racers {
		r := <-results
		if r.err != nil {
			err = r.err
		}
		if r.done {
			winners = append(winners, r)
		}
	}
	if err != nil {
		return "", err
	}
	if len(winners) != 1 {
		return "", s.unfit("of %d %s at once %d won", racers, what, len(winners))
	}
	etag, body, err := s.peek(ctx, key)
	if err != nil {
		return "", err
	}
	if w := winners[0]; body != w.body || etag != w.etag {
		return "", s.unfit("after %s it holds %q with ETag %s, not %q with ETag %s", what, body, etag, w.body, w.etag)
	}
	return etag, nil
}

func (s *Store) unfit(format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", s.at, ErrUnfit, fmt.Sprintf(format, args...))
}

// try makes a conditional write and tells whether it won. Where the answer is
// lost the bytes tell: each try of the probe has its own.
func (s *Store) try(ctx context.Context, key, from, body string) (etag string, done bool, err error) {
	p := patience{s: s}
	doubt := false
	for {
		etag, err := attempt(ctx, s.limits.timeout, func(ctx context.Context) (string, error) {
			return s.send(ctx, key, []byte(body), from)
		})
		if err == nil {
			return etag, true, nil
		}
		verdict := judge(ctx, err)
		if isNotImplemented(err) {
			return "", false, s.unfit("it does not know conditional writes: %v", err)
		}
		if ctx.Err() != nil || verdict == fatal {
			return "", false, refusedWrite(s.explain(err))
		}
		doubt = doubt || verdict == unknown
		if verdict == refused {
			if !doubt {
				return "", false, nil
			}
			etag, have, err := s.peek(ctx, key)
			return etag, have == body, err
		}
		if err := p.next(ctx, err); err != nil {
			return "", false, err
		}
	}
}

func (s *Store) peek(ctx context.Context, key string) (etag, body string, err error) {
	body, err = retry(ctx, s, func(ctx context.Context) (string, error) {
		var data []byte
		var err error
		etag, data, err = s.fetch(ctx, key, headLength)
		return string(data), err
	})
	return etag, body, err
}

func isNotImplemented(err error) bool {
	e := minio.ToErrorResponse(err)
	return e.StatusCode == 501 || e.Code == "NotImplemented"
}
