package access

import (
	"context"
	"sync/atomic"
)

// Slot learns the name of who asks from a handler further in: for an access log
// that stands in front of the Gate.
type Slot struct{ name atomic.Pointer[string] }

type slotKey struct{}

// slotContext is a context with a slot.
type slotContext struct {
	context.Context
	slot Slot
}

// Value implements context.Context.
func (c *slotContext) Value(key any) any {
	if key == (slotKey{}) {
		return &c.slot
	}
	return c.Context.Value(key)
}

// WithSlot gives a request's context a slot.
func WithSlot(ctx context.Context) (context.Context, *Slot) {
	c := &slotContext{Context: ctx}
	return c, &c.slot
}

// Name is "" as long as nobody was identified.
func (s *Slot) Name() string {
	if name := s.name.Load(); name != nil {
		return *name
	}
	return ""
}
