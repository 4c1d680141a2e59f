package main

import (
	"context"
	"sync"
	"time"
)

// deadlineContext is context.WithTimeout for requests, most of which are
// answered before anybody waits for their time to end: only then there is a
// timer.
type deadlineContext struct {
	context.Context // the request's own
	end             time.Time

	mu     sync.Mutex
	timed  context.Context // nil as long as nobody waits
	cancel context.CancelFunc
	ended  bool
}

func withDeadline(ctx context.Context, end time.Time) *deadlineContext {
	return &deadlineContext{Context: ctx, end: end}
}

// Deadline implements context.Context.
func (c *deadlineContext) Deadline() (time.Time, bool) {
	if end, ok := c.Context.Deadline(); ok && end.Before(c.end) {
		return end, true
	}
	return c.end, true
}

// Done implements context.Context.
func (c *deadlineContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.cancel = context.WithDeadline(c.Context, c.end)
		if c.ended {
			c.cancel()
		}
	}
	return c.timed.Done()
}

// Err implements context.Context.
func (c *deadlineContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.timed != nil:
		return c.timed.Err()
	case c.ended:
		return context.Canceled
	case c.Context.Err() != nil:
		return c.Context.Err()
	case !time.Now().Before(c.end):
		return context.DeadlineExceeded
	}
	return nil
}

// finish ends it with the request.
func (c *deadlineContext) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.cancel != nil {
		c.cancel()
	}
}
