package contentstore

import (
	"context"
	"errors"
	"io"
	"time"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
)

// pace keeps reading at a number of bytes per second.
type pace struct {
	rate int64 // 0 is no limit
	due  time.Time
}

// chunk is how many bytes to read at once.
func (p *pace) chunk() int {
	if p.rate <= 0 {
		return 1 << 20
	}
	return int(min(max(p.rate/4, 4<<10), 1<<20))
}

// spent waits for the time that n bytes are to take. Time that passed unused
// is not made up for.
func (p *pace) spent(ctx context.Context, n int) error {
	if p.rate <= 0 {
		return nil
	}
	now := time.Now()
	if p.due.Before(now) {
		p.due = now
	}
	p.due = p.due.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	select {
	case <-time.After(p.due.Sub(now)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// check hashes an object: CodeCorrupt if it is not d. It returns its size.
func (s *scrub) check(ctx context.Context, key string, d digest.Digest) (int64, error) {
	rc, err := s.r.store.Open(ctx, key, 0, -1)
	if err != nil {
		return 0, err
	}
	defer rc.Close()
	h, size, buf := d.Algorithm().Hash(), int64(0), make([]byte, s.pace.chunk())
	for {
		n, err := rc.Read(buf)
		h.Write(buf[:n])
		size += int64(n)
		if err := errors.Join(s.pace.spent(ctx, n), ctx.Err()); err != nil {
			return size, err
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return size, err
		}
	}
	if got := digest.NewDigest(d.Algorithm(), h); got != d {
		return size, registry.Errorf(registry.CodeCorrupt, "content has digest %s, not %s", got, d)
	}
	return size, nil
}
