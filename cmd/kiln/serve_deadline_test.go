package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestDeadlineContext: it ends as one of context.WithTimeout does, whether
// somebody waits for that or looks.
func TestDeadlineContext(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(cancel func(), c *deadlineContext)
		want error
	}{
		"time":    {func(func(), *deadlineContext) { time.Sleep(2 * time.Second) }, context.DeadlineExceeded},
		"request": {func(_ func(), c *deadlineContext) { c.finish() }, context.Canceled},
		"client":  {func(cancel func(), _ *deadlineContext) { cancel() }, context.Canceled},
	} {
		for _, waits := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					parent, cancel := context.WithCancel(t.Context())
					defer cancel()
					ctx := withDeadline(parent, time.Now().Add(time.Second))
					defer ctx.finish()
					if end, ok := ctx.Deadline(); !ok || time.Until(end) != time.Second {
						t.Errorf("deadline in %v, %v", time.Until(end), ok)
					}
					if waits {
						select {
						case <-ctx.Done():
							t.Error("ended at once")
						default:
						}
					}
					child, stop := context.WithCancel(context.WithValue(ctx, requestKey{}, nil))
					defer stop()
					if ctx.Err() != nil || child.Err() != nil {
						t.Error(ctx.Err(), child.Err())
					}
					c.end(cancel, ctx)
					synctest.Wait()
					if !errors.Is(ctx.Err(), c.want) || !errors.Is(child.Err(), c.want) {
						t.Errorf("got %v and %v, want %v", ctx.Err(), child.Err(), c.want)
					}
					<-ctx.Done()
					<-child.Done()
				})
			})
		}
	}
}

// TestDeadlineContextBefore: an earlier deadline in front of it counts.
func TestDeadlineContextBefore(t *testing.T) {
	first, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	ctx := withDeadline(first, time.Now().Add(time.Hour))
	if end, _ := ctx.Deadline(); time.Until(end) > time.Minute {
		t.Errorf("deadline in %v", time.Until(end))
	}
	if withDeadline(t.Context(), time.Now()).Err() != context.DeadlineExceeded {
		t.Error("time is up, and nobody says so")
	}
}
