package contentstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// This is the writers' half of collection; collect.go says why it is enough.

// parallel bounds what one call does with the store at once.
const parallel = 16

// everywhere is the image of a rescue that concerns all.
const everywhere = ""

// rescue keeps digests, whose links in repo are in place, from a collection
// that has condemned them, and waits for the end of one that is deleting them.
// After it the caller looks whether they are there. Where nothing is condemned
// it costs one load of a pointer for each.
//
// CodeTooManyRequests when a deletion takes too long.
func (r *Registry) rescue(ctx context.Context, repo string, digests ...digest.Digest) error {
	if len(digests) == 1 {
		return r.rescueOne(ctx, repo, digests[0])
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, d := range digests {
		g.Go(func() error { return r.rescueOne(ctx, repo, d) })
	}
	return g.Wait()
}

func (r *Registry) rescueOne(ctx context.Context, repo string, d digest.Digest) error {
	var w *deathwatch
	for {
		m, ptr, err := r.loadMark(ctx, d)
		if err != nil {
			return fmt.Errorf("mark of %s: %w", d, err)
		}
		if !ptr.Exists() || m.State == rescued || repo != everywhere && !m.touches(repo) {
			return nil
		}
		if m.State == deleting {
			if w == nil {
				w = &deathwatch{r: r, began: time.Now()}
			}
			if abandoned, err := w.wait(ctx, d); err != nil {
				return err
			} else if !abandoned {
				continue
			}
		}
		_, err = r.swapMark(ctx, ptr, mark{State: rescued, At: r.now().UTC(), Keys: m.Keys})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// deathwatch waits for the end of a deletion, or of the collector that was at it.
type deathwatch struct {
	r        *Registry
	began    time.Time
	pause    time.Duration
	revision string // of the collector's pointer
	since    time.Time
}

const (
	firstPause = 2 * time.Millisecond
	lastPause  = 250 * time.Millisecond
)

// wait pauses. It tells that the deletion was abandoned when there is no
// collector, or when the one there is has not renewed its term for that long.
func (w *deathwatch) wait(ctx context.Context, d digest.Digest) (abandoned bool, err error) {
	ptr, err := w.r.pointers.Load(ctx, collectorName)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return true, nil
	case err != nil:
		return false, err
	case ptr.Revision != w.revision:
		w.revision, w.since = ptr.Revision, time.Now()
	case time.Since(w.since) >= w.r.term:
		return true, nil
	}
	if time.Since(w.began) >= w.r.term+w.r.term/2 {
		return false, beingCollected(d)
	}
	w.pause = min(max(2*w.pause, firstPause), lastPause)
	return false, sleep(ctx, w.pause)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// beingCollected is what a push that crossed a collection is told: nothing is
// wrong with it, and the next attempt finds what has to be sent again.
func beingCollected(d digest.Digest) error {
	return registry.Errorf(registry.CodeTooManyRequests, "%s was just being collected; push it again", d)
}

// addLink links a blob whose bytes were verified, and returns when no
// collection can have taken them. CodeTooManyRequests if one has.
func (r *Registry) addLink(ctx context.Context, repo string, d digest.Digest) error {
	if err := r.linkBlob(ctx, repo, d); err != nil {
		return err
	}
	return r.keepLinked(ctx, repo, d)
}

// keepLinked is addLink of a blob that was just linked.
func (r *Registry) keepLinked(ctx context.Context, repo string, d digest.Digest) error {
	if err := r.rescue(ctx, repo, d); err != nil {
		return err
	}
	switch _, err := r.statBlob(ctx, repo, d); {
	case errors.Is(err, registry.CodeBlobUnknown):
		return beingCollected(d)
	default:
		return err
	}
}

// Rescue is for callers that have just stored a root of their own (a lease, a
// channel): after it the manifest, and all that it names, is there and stays
// as long as the root. CodeManifestUnknown or CodeManifestBlobUnknown if it
// was collected before, CodeTooManyRequests if it is being collected.
func (r *Registry) Rescue(ctx context.Context, repo string, d digest.Digest) error {
	if err := checkBlob(repo, d); err != nil {
		return err
	}
	if err := r.rescue(ctx, everywhere, d); err != nil {
		return err
	}
	l, err := r.manifestLink(ctx, repo, d)
	if err != nil {
		return err
	}
	m, err := r.readManifest(ctx, repo, d)
	if err != nil {
		return err
	}
	whole, err := r.settle(ctx, repo, l, m)
	if err == nil && !whole {
		err = registry.Errorf(registry.CodeManifestUnknown, "image %s has no manifest %s any more", repo, d)
	}
	return err
}
