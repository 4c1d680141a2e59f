package promotion

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"time"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// crowd counts who reads evidence at the same time.
type crowd struct {
	registry.Registry
	mu       sync.Mutex
	in, most int
}

func (c *crowd) count(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in += n
	c.most = max(c.most, c.in)
}

func (c *crowd) Referrers(ctx context.Context, image string, d digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		c.count(1)
		defer c.count(-1)
		time.Sleep(20 * time.Millisecond)
		for desc, err := range c.Registry.Referrers(ctx, image, d, artifactType) {
			if !yield(desc, err) {
				return
			}
		}
	}
}

// FAULTS 33: whoever may pull may check; many at once read little at once.
func TestChecksTakeTurns(t *testing.T) {
	w := newWorld(t)
	d := w.baked(shop, "a")
	seen := &crowd{Registry: w.registry}
	s := w.with(func(c *Config) { c.Registry = seen })
	var all sync.WaitGroup
	for range 4 * maxChecks {
		all.Go(func() {
			if c, err := s.Check(t.Context(), CheckRequest{Image: shop, Digest: d, Channel: "dev"}); err != nil || !c.Allow {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
	all.Wait()
	if seen.most == 0 || seen.most > maxChecks {
		t.Errorf("%d read evidence at once, at most %d may", seen.most, maxChecks)
	}
	for range maxChecks {
		s.checks <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Check(ctx, CheckRequest{Image: shop, Digest: d, Channel: "dev"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one that waited too long: %v", err)
	}
}

// forbidding is a registry that keeps its evidence to itself.
type forbidding struct{ registry.Registry }

func (forbidding) Referrers(context.Context, string, digest.Digest, string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		yield(ocispec.Descriptor{}, registry.Errorf(registry.CodeDenied, "not for you"))
	}
}

// A registry's own refusal is no decision about the version.
func TestEvidenceThatMayNotBeRead(t *testing.T) {
	w := newWorld(t)
	d := w.baked(shop, "a")
	s := w.with(func(c *Config) { c.Registry = forbidding{w.registry} })
	if _, err := s.Promote(t.Context(), PromoteRequest{Image: shop, Digest: d, Channel: "dev"}); registry.ErrorCode(err) != registry.CodeDenied {
		t.Errorf("promoted: %v", err)
	}
	if _, err := s.Check(t.Context(), CheckRequest{Image: shop, Digest: d, Channel: "dev"}); registry.ErrorCode(err) != registry.CodeDenied {
		t.Errorf("checked: %v", err)
	}
}
