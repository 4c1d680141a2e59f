package contentstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// Problem is one thing that is wrong in a store.
type Problem struct {
	Image  string        // "" where it concerns all
	Digest digest.Digest // "" where there is none
	Err    error         // what is wrong
	Done   string        // what was done about it; "" if nothing
	// Broken: something is lost or unreadable and stays so. Without it the
	// store serves all that it should, or the next repair sees to it.
	Broken bool
}

// ScrubOptions say how a scrub goes about it.
type ScrubOptions struct {
	// Repair quarantines damaged blobs and puts links and indexes back.
	// Without it nothing is written.
	Repair bool
	Rate   int64 // bytes hashed per second at most; 0 is no limit
	// Settle is how long a suspicion rests before the second look; 2 seconds
	// by default. What a push or a deletion was just doing is done by then.
	Settle time.Duration
}

// Scrubbed is what a scrub saw and found.
type Scrubbed struct {
	Blobs    int   // blobs hashed
	Bytes    int64 // of them
	Problems []Problem
}

// Broken tells whether something is lost or unreadable.
func (s Scrubbed) Broken() bool {
	for _, p := range s.Problems {
		if p.Broken {
			return true
		}
	}
	return false
}

// Scrub reads everything of a store that others may be using: it hashes every
// blob again, looks for the bytes of every link and for all that tags reach,
// and compares links and indexes with the manifests they were made from. With
// Repair a damaged blob is moved to the quarantine, so that it is no longer
// served and the next push of it heals the store, and links and indexes are
// made again from what they say the same as. The error is for a scrub that
// could not be done to its end; found problems are no error.
func (r *Registry) Scrub(ctx context.Context, o ScrubOptions) (Scrubbed, error) {
	if o.Settle <= 0 {
		o.Settle = 2 * time.Second
	}
	s := &scrub{r: r, o: o, pace: &pace{rate: o.Rate}}
	if err := s.blobs(ctx); err != nil {
		return s.out, err
	}
	for image, err := range r.images(ctx) {
		if err == nil {
			err = s.image(ctx, image)
		}
		if err != nil {
			return s.out, err
		}
	}
	return s.out, s.tidyQuarantine(ctx)
}

type scrub struct {
	r       *Registry
	o       ScrubOptions
	pace    *pace
	out     Scrubbed
	pending []suspicion
}

// suspicion is what looks wrong, and may be somebody at work.
type suspicion struct {
	Problem
	still func(ctx context.Context) (bool, error)
	// mend may be nil, if nothing can be done. It returns what it did.
	mend func(ctx context.Context) (string, error)
}

// maxPending bounds what waits for its second look.
const maxPending = 1000

func (s *scrub) suspect(ctx context.Context, p suspicion) error {
	s.pending = append(s.pending, p)
	if len(s.pending) < maxPending {
		return nil
	}
	return s.settle(ctx)
}

// settle looks again at what was suspected, and repairs.
func (s *scrub) settle(ctx context.Context) error {
	if len(s.pending) == 0 {
		return ctx.Err()
	}
	list := s.pending
	s.pending = nil
	select {
	case <-time.After(s.o.Settle):
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, p := range list {
		switch still, err := p.still(ctx); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			p.Err, p.Broken = errors.Join(p.Err, err), true
		case !still:
			continue
		case s.o.Repair && p.mend != nil:
			s.repair(ctx, &p)
		}
		s.tell(p)
	}
	return nil
}

// tell reports what an image lost for good once, however many need it.
func (s *scrub) tell(p suspicion) {
	same := func(q Problem) bool { return q.Broken && q.Image == p.Image && q.Digest == p.Digest }
	if p.mend == nil && p.Image != "" && slices.ContainsFunc(s.out.Problems, same) {
		return
	}
	s.out.Problems = append(s.out.Problems, p.Problem)
}

func (s *scrub) repair(ctx context.Context, p *suspicion) {
	done, err := p.mend(ctx)
	if err != nil {
		p.Err, p.Broken = errors.Join(p.Err, err), true
		return
	}
	p.Done = done
	if done != "" {
		p.Broken = false
	}
}

// blobs hashes every blob.
func (s *scrub) blobs(ctx context.Context) error {
	for info, err := range s.r.store.List(ctx, store.BlobsPrefix, "") {
		if err != nil {
			return err
		}
		d := blobDigest(info.Key)
		if d == "" {
			s.out.Problems = append(s.out.Problems, Problem{Err: registry.Errorf(registry.CodeCorrupt, "object %s is at no blob's place", info.Key)})
			continue
		}
		n, err := s.check(ctx, info.Key, d)
		s.out.Blobs++
		s.out.Bytes += n
		if err := s.judge(ctx, d, err); err != nil {
			return err
		}
	}
	return s.settle(ctx)
}

// judge makes a suspicion of what reading a blob said.
func (s *scrub) judge(ctx context.Context, d digest.Digest, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil, errors.Is(err, store.ErrNotFound): // deleted meanwhile
		return nil
	}
	p := suspicion{Problem: Problem{Digest: d, Err: err, Broken: true}}
	p.still = func(ctx context.Context) (bool, error) {
		_, err := s.check(ctx, store.BlobKey(d), d)
		return err != nil && !errors.Is(err, store.ErrNotFound), nil
	}
	if errors.Is(err, registry.CodeCorrupt) { // not one that could not be read just now
		p.mend = func(ctx context.Context) (string, error) { return s.quarantine(ctx, d, err) }
	}
	return s.suspect(ctx, p)
}

// blobDigest reverses store.BlobKey; "" for another key.
func blobDigest(key string) digest.Digest {
	parts := strings.Split(strings.TrimPrefix(key, store.BlobsPrefix), "/")
	if len(parts) != 3 {
		return ""
	}
	d := digest.Digest(parts[0] + ":" + parts[2])
	if registry.CheckDigest(d) != nil || store.BlobKey(d) != key {
		return ""
	}
	return d
}
