package imagecopy

import (
	"context"
	"errors"
	"sync"
	"time"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
)

// copier is one copy under way.
type copier struct {
	src      Source
	dst      Destination
	from, to string
	opts     Options

	mu            sync.Mutex             // of what several goroutines count
	copied        map[digest.Digest]bool // manifests that are there with all they name
	blobs         map[digest.Digest]bool // blobs that are there
	done          int64                  // bytes
	known         int64                  // bytes
	attachedBytes int64
	result        Result
}

func newCopier(src Source, from string, dst Destination, to string, opts Options) *copier {
	if opts.Jobs <= 0 {
		opts.Jobs = 4
	}
	if opts.MaxAttached <= 0 {
		opts.MaxAttached = 1000
	}
	if opts.MaxAttachedBytes <= 0 {
		opts.MaxAttachedBytes = 8 << 30
	}
	return &copier{
		src: src, dst: dst, from: from, to: to, opts: opts,
		copied: map[digest.Digest]bool{}, blobs: map[digest.Digest]bool{},
	}
}

// inPlace: the copy only sets tags.
func (c *copier) inPlace() bool { return c.opts.SameRegistry && c.from == c.to }

// locked runs f alone.
func (c *copier) locked(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// moved counts bytes of blobs that are done with.
func (c *copier) moved(n int64) {
	var done, known int64
	c.locked(func() {
		c.done += n
		done, known = c.done, c.known
	})
	if c.opts.Progress != nil {
		c.opts.Progress(done, known)
	}
}

// patience is how often a destination is asked again that said: later.
const patience = 5

// patiently does f again where the destination asks for that, as a collection
// that removes the same content does.
func (c *copier) patiently(ctx context.Context, f func() error) error {
	for n := 1; ; n++ {
		err := f()
		if n == patience || !errors.Is(err, registry.CodeTooManyRequests) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(n) * 200 * time.Millisecond):
		}
	}
}

// absent tells what a registry does not have.
func absent(err error) bool {
	return errors.Is(err, registry.CodeManifestUnknown) || errors.Is(err, registry.CodeNameUnknown) || errors.Is(err, registry.CodeBlobUnknown)
}
