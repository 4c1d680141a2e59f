package s3store

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"kiln/registry/store"
)

// readAhead is how many pointers a list fetches at once.
const readAhead = 16

// List implements store.Pointers. Values are fetched ahead, more of them the
// further the caller reads.
func (p *Pointers) List(ctx context.Context, prefix, after string) iter.Seq2[store.Pointer, error] {
	return func(yield func(store.Pointer, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var queue []chan fetched
		give := func() bool {
			f := <-queue[0]
			queue = queue[1:]
			switch {
			case errors.Is(f.err, store.ErrNotFound): // deleted meanwhile
				return true
			case f.err != nil:
				yield(store.Pointer{}, fmt.Errorf("list %s: %w", prefix, f.err))
				return false
			}
			return yield(f.ptr, nil)
		}
		ahead := 1
		for l, err := range p.s.list(ctx, prefix, p.s.pointerKey(after)) {
			if err != nil {
				queue = append(queue, failed(err))
				break
			}
			if !l.pointer || l.Size < headLength || l.name <= after { // shorter: a tombstone
				continue
			}
			queue = append(queue, p.fetch(ctx, l.name))
			if len(queue) >= ahead {
				if !give() {
					return
				}
				ahead = min(2*ahead, readAhead)
			}
		}
		for len(queue) > 0 {
			if !give() {
				return
			}
		}
	}
}

// fetched is a pointer, or why there is none.
type fetched struct {
	ptr store.Pointer
	err error
}

func (p *Pointers) fetch(ctx context.Context, name string) chan fetched {
	c := make(chan fetched, 1)
	go func() {
		ptr, err := p.load(ctx, name)
		c <- fetched{ptr, err}
	}()
	return c
}

func failed(err error) chan fetched {
	c := make(chan fetched, 1)
	c <- fetched{err: err}
	return c
}
