package contentstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// What is damaged is moved aside, in case someone can still make use of it:
// its bytes to quarantine/<digest>/<id>/bytes, and beside them, as
// reason.json, why. Nothing serves what is there.
const (
	quarantineBytes  = "bytes"
	quarantineReason = "reason.json"
	// quarantineTime is how long damaged bytes stay once the blob is whole.
	quarantineTime = 30 * 24 * time.Hour
)

// quarantined is the JSON of a reason.
type quarantined struct {
	Digest digest.Digest `json:"digest"`
	At     time.Time     `json:"at"`
	Reason string        `json:"reason"`
	Size   int64         `json:"size"`
}

func quarantineKey(d digest.Digest, id string) string {
	return store.QuarantinePrefix + string(d) + "/" + id + "/"
}

// quarantine moves a damaged blob aside. What was moved is hashed once more
// before the blob goes: another may have healed it meanwhile.
func (s *scrub) quarantine(ctx context.Context, d digest.Digest, cause error) (string, error) {
	key, to := store.BlobKey(d), quarantineKey(d, randomName())
	was, err := s.r.store.Stat(ctx, key)
	if err == nil {
		err = s.copyObject(ctx, key, to+quarantineBytes)
	}
	if errors.Is(err, store.ErrNotFound) {
		return "gone meanwhile", nil
	}
	if err != nil {
		return "", coded(err)
	}
	if _, err := s.check(ctx, to+quarantineBytes, d); !errors.Is(err, registry.CodeCorrupt) {
		return "read again: it is whole", errors.Join(err, coded(s.r.store.Delete(ctx, to+quarantineBytes)))
	}
	reason := quarantined{Digest: d, At: s.r.now().UTC(), Reason: cause.Error(), Size: was.Size}
	if err := s.r.putJSON(ctx, to+quarantineReason, reason); err != nil {
		return "", err
	}
	switch now, err := s.r.store.Stat(ctx, key); {
	case errors.Is(err, store.ErrNotFound):
		return "gone meanwhile", nil
	case err != nil:
		return "", err
	case now.Size != was.Size || !now.ModTime.Equal(was.ModTime):
		return "replaced meanwhile", nil
	}
	if err := s.r.store.Delete(ctx, key); err != nil {
		return "", coded(err)
	}
	return fmt.Sprintf("moved to %s; the next push of this blob heals the store", to+quarantineBytes), nil
}

func (s *scrub) copyObject(ctx context.Context, from, to string) error {
	if c, ok := s.r.store.(store.Copier); ok {
		return c.Copy(ctx, from, to)
	}
	rc, err := s.r.store.Open(ctx, from, 0, -1)
	if err != nil {
		return err
	}
	defer rc.Close()
	return s.r.store.Put(ctx, to, rc)
}

// tidyQuarantine forgets damaged bytes of long ago whose blob is whole again.
func (s *scrub) tidyQuarantine(ctx context.Context) error {
	if !s.o.Repair {
		return nil
	}
	for info, err := range s.r.store.List(ctx, store.QuarantinePrefix, "") {
		if err != nil {
			return err
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(info.Key, store.QuarantinePrefix), "/")
		d := digest.Digest(name)
		if registry.CheckDigest(d) != nil || s.r.now().Sub(info.ModTime) < quarantineTime {
			continue
		}
		if whole, err := s.r.exists(ctx, store.BlobKey(d)); err != nil || !whole {
			if err != nil {
				return err
			}
			continue
		}
		if err := s.r.store.Delete(ctx, info.Key); err != nil {
			return coded(err)
		}
	}
	return nil
}
