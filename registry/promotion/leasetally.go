package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// leaseTally counts the leases of one identity, so that its quota needs no look
// at all leases. It counts a lease before it is taken: what a crash leaves over
// ends with the lease that was to be.
type leaseTally struct {
	By     string           `json:"by"`
	Leases map[string]int64 `json:"leases"` // expiry, in Unix seconds, by tallyKey
}

// tallyKey names a lease in a tally, shortly.
func tallyKey(image string, d digest.Digest, holder string) string {
	return digest.FromString(image + "@" + string(d) + "/" + holder).Encoded()[:24]
}

// tally changes the tally of an identity until it is swapped in. Somebody
// without a name has none.
func (s *Service) tally(ctx context.Context, by string, change func(map[string]int64) error) error {
	if by == "" {
		return nil
	}
	name := store.LeaseTallyPointer(digest.FromString(by).Encoded())
	for {
		ptr, err := s.pointers.Load(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			ptr, err = store.Absent(name), nil
		}
		if err != nil {
			return fmt.Errorf("leases of %s: %w", clip(by), err)
		}
		t := leaseTally{By: by}
		if err := t.decode(ptr.Value); err != nil {
			s.log.Warn("tally of leases starts anew", "by", by, "err", err)
		}
		maps.DeleteFunc(t.Leases, func(_ string, expires int64) bool { return expires < s.now().Unix() })
		if err := change(t.Leases); err != nil {
			return err
		}
		value, err := json.Marshal(t)
		if err != nil {
			return fmt.Errorf("encode tally: %w", err)
		}
		if string(value) == string(ptr.Value) {
			return nil
		}
		if _, err = s.pointers.Swap(ctx, ptr, value); !errors.Is(err, store.ErrConflict) {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// decode reads a tally; one that is damaged counts as empty.
func (t *leaseTally) decode(value []byte) error {
	var err error
	if len(value) > 0 {
		var read leaseTally
		if err = json.Unmarshal(value, &read); err == nil {
			t.Leases = read.Leases
		}
	}
	if t.Leases == nil {
		t.Leases = map[string]int64{}
	}
	return err
}

// reserve counts a lease that by is about to take or to extend: KindDenied
// over the quota.
func (s *Service) reserve(ctx context.Context, by, key string, expires time.Time) error {
	return s.tally(ctx, by, func(leases map[string]int64) error {
		if _, ok := leases[key]; !ok && len(leases) >= MaxLeasesOfOwner {
			return errorf(KindDenied, "%s holds %d leases, which is the most that one identity may", clip(by), len(leases)).
				hinted("release some, or let them expire")
		}
		leases[key] = max(leases[key], expires.Unix())
		return nil
	})
}

// unreserve forgets a lease. It is no loss if that fails: it would have ended.
func (s *Service) unreserve(ctx context.Context, by, key string) {
	err := s.tally(ctx, by, func(leases map[string]int64) error {
		delete(leases, key)
		return nil
	})
	if err != nil {
		s.log.Warn("tally of leases not lowered", "by", by, "err", err)
	}
}
