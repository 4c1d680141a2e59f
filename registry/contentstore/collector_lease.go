package contentstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"kiln/registry/store"
)

// collectorName is the pointer that says who collects.
const collectorName = store.GCPrefix + "collector"

// collectorTerm is how long a collector may delete after it has last renewed,
// and how long others look at an unchanged pointer before they call it dead.
const collectorTerm = 10 * time.Second

// ErrCollecting: another collection is running. It does what this one would.
var ErrCollecting = errors.New("another collection is running")

// errTermOver: this collector was too slow to renew, so another may be at work.
var errTermOver = errors.New("the collector's term is over")

// office is the value of the collector's pointer, as JSON. Times are for
// people: nobody compares them with a clock of their own.
type office struct {
	Owner string    `json:"owner"`
	At    time.Time `json:"at"`
	Count int       `json:"count"` // of renewals, so that each has other bytes
}

// tenure is a collector's time in office, renewed until it is released.
type tenure struct {
	r    *Registry
	stop context.CancelFunc
	done chan struct{}

	office office        // as it was last written, by whoever renews
	ptr    store.Pointer // likewise

	mu    sync.Mutex
	until time.Time

	// doubt: a deletion failed, and may be carried out all the same.
	doubt atomic.Bool
}

// assume takes the office of the collector. It waits no longer than a term:
// by then the holder has renewed, which is ErrCollecting, or is dead. The
// context ends with the tenure.
func (r *Registry) assume(ctx context.Context) (context.Context, *tenure, error) {
	old, err := r.vacant(ctx)
	if err != nil {
		return nil, nil, err
	}
	t := &tenure{r: r, done: make(chan struct{}), office: office{Owner: randomName()}, ptr: old}
	if err := t.renew(ctx); err != nil {
		if errors.Is(err, store.ErrConflict) {
			err = ErrCollecting
		}
		return nil, nil, err
	}
	run, cancel := context.WithCancelCause(ctx)
	ticking, stop := context.WithCancel(ctx)
	t.stop = stop
	go func() {
		defer close(t.done)
		cancel(t.keep(ticking))
	}()
	return run, t, nil
}

// vacant returns the collector's pointer once nobody holds it.
func (r *Registry) vacant(ctx context.Context) (store.Pointer, error) {
	var seen store.Pointer
	var since time.Time
	for {
		ptr, err := r.pointers.Load(ctx, collectorName)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return store.Absent(collectorName), nil
		case err != nil:
			return store.Pointer{}, err
		case !seen.Exists():
			seen, since = ptr, time.Now()
		case ptr.Revision != seen.Revision:
			return store.Pointer{}, ErrCollecting
		case time.Since(since) >= r.term:
			return ptr, nil
		}
		if err := sleep(ctx, min(r.term/16, lastPause)); err != nil {
			return store.Pointer{}, err
		}
	}
}

// keep renews until ctx ends or the tenure does.
func (t *tenure) keep(ctx context.Context) error {
	for {
		if err := sleep(ctx, t.r.term/4); err != nil {
			return err
		}
		err := t.check()
		if err == nil {
			err = t.renew(ctx)
		}
		if errors.Is(err, errTermOver) || errors.Is(err, store.ErrConflict) {
			return errTermOver
		} // anything else may pass before the term does
	}
}

// renew swaps the pointer. The term counts from before the swap, so that it
// ends here before it does for those who look at the pointer.
func (t *tenure) renew(ctx context.Context) error {
	start := time.Now()
	next := t.office
	next.At, next.Count = t.r.now().UTC(), next.Count+1
	value, err := json.Marshal(next)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, t.r.term)
	defer cancel()
	ptr, err := t.r.pointers.Swap(limited, t.ptr, value)
	if err != nil {
		return t.reread(ctx, err)
	}
	t.office, t.ptr = next, ptr
	t.mu.Lock()
	t.until = start.Add(t.r.term)
	t.mu.Unlock()
	return nil
}

// reread looks whether a swap of ours took effect though its answer got lost.
// The term is not prolonged: when it took effect is unknown.
func (t *tenure) reread(ctx context.Context, cause error) error {
	ptr, err := t.r.pointers.Load(ctx, collectorName)
	if err != nil {
		return coded(cause)
	}
	var now office
	if json.Unmarshal(ptr.Value, &now) != nil || now.Owner != t.office.Owner {
		return coded(cause)
	}
	t.office, t.ptr = now, ptr
	if t.until.IsZero() { // the first swap; nobody else renews it, so it ends by itself
		return fmt.Errorf("whether the collection may begin is unknown: %w", coded(cause))
	}
	return nil
}

// check is errTermOver when the term is, by the monotonic clock or by the one
// on the wall, which alone counts the time that a machine was suspended.
func (t *tenure) check() error {
	_, err := t.deadline()
	return err
}

func (t *tenure) deadline() (time.Time, error) {
	t.mu.Lock()
	until := t.until
	t.mu.Unlock()
	if over(until) {
		return until, errTermOver
	}
	return until, nil
}

func over(until time.Time) bool {
	now := time.Now()
	return !now.Before(until) || !now.Round(0).Before(until.Round(0))
}

// within runs f if neither ctx nor the term is over, with a context that ends
// with the term only: a bucket may carry out what its caller has given up, so
// what is begun is waited for before the office is left.
func (t *tenure) within(ctx context.Context, f func(ctx context.Context) error) error {
	until, err := t.deadline()
	if err = cmp.Or(ctx.Err(), err); err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer cancel()
	return f(termContext{ctx, until})
}

// termContext looks at the clock when it is asked whether it is over: the timer
// of a process that did not run for a while fires late, and what waits in it
// would be done before.
type termContext struct {
	context.Context
	until time.Time
}

func (c termContext) Err() error {
	if err := c.Context.Err(); err != nil {
		return err
	}
	if over(c.until) {
		return context.DeadlineExceeded
	}
	return nil
}

// remove is within for a deletion.
func (t *tenure) remove(ctx context.Context, f func(ctx context.Context) error) error {
	return t.within(ctx, func(ctx context.Context) error {
		err := f(ctx)
		if err != nil {
			t.doubt.Store(true)
		}
		return err
	})
}

// release ends the tenure, when all deletes have returned. Where one is in
// doubt it leaves the pointer, so that nobody goes on before a term is over.
func (t *tenure) release(ctx context.Context) error {
	t.stop()
	<-t.done
	if t.doubt.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.r.term)
	defer cancel()
	err := t.r.pointers.Delete(ctx, t.ptr)
	if errors.Is(err, store.ErrConflict) {
		return nil // another has taken over
	}
	return coded(err)
}
