package access

import (
	"context"
	"sync/atomic"
)

// Slot learns the name of who asks from a handler further in: for an access log
// that stands in front of the Gate.
type Slot struct{ name atomic.Pointer[string] }

type slotKey struct{}

// WithSlot gives a request's context a slot.
func WithSlot(ctx context.Context) (context.Context, *Slot) {
	slot := &Slot{}
	return context.WithValue(ctx, slotKey{}, slot), slot
}

// Name is "" as long as nobody was identified.
func (s *Slot) Name() string {
	if name := s.name.Load(); name != nil {
		return *name
	}
	return ""
}
