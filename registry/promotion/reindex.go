package promotion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// Reindex walks a whole ledger and compares its derived index with it. It
// makes missing and wrong entries again, unless dryRun is set, and returns how
// many there were.
func (s *Service) Reindex(ctx context.Context, image string, dryRun bool) (int, error) {
	st, err := s.state(ctx, image)
	if err != nil {
		return 0, err
	}
	done, _, err := s.indexed(ctx, image)
	if err != nil {
		return 0, err
	}
	fixed := 0
	for d, r := range s.walk(ctx, image, st.Head, 0) {
		if r.err != nil {
			return fixed, r.err
		}
		if r.Sequence > done {
			continue // whoever needs it will write it
		}
		for _, key := range indexKeys(image, r.Record) {
			wrong, err := s.reindexEntry(ctx, key, d, key != reachedKey(image, r.Channel, r.Digest), dryRun)
			if err != nil {
				return fixed, fmt.Errorf("index of %s: %w", image, err)
			}
			if wrong {
				fixed++
			}
		}
	}
	return fixed, nil
}

// reindexEntry looks at one entry. One that is exact has one right content;
// that of a channel may name any record that moved it there.
func (s *Service) reindexEntry(ctx context.Context, key string, record digest.Digest, exact, dryRun bool) (wrong bool, err error) {
	rc, err := s.store.Open(ctx, key, 0, 256)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	if err == nil {
		have, readErr := io.ReadAll(rc)
		if err := errors.Join(readErr, rc.Close()); err != nil {
			return false, err
		}
		if !exact || string(have) == string(record) {
			return false, nil
		}
	}
	if dryRun {
		return true, nil
	}
	if err := s.store.Delete(ctx, key); err != nil {
		return true, err
	}
	return true, s.store.Put(ctx, key, strings.NewReader(string(record)))
}
