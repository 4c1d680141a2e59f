package store

import "context"

// Grouper is what a Store may offer besides: several writes that are waited
// for at once.
type Grouper interface {
	// Group returns a Store on which a Put may return before the object
	// survives a power cut, and settle, which returns when all of them do.
	// Objects are visible whole or not at the same time as with Put. What was
	// put before settle failed, or without settle, counts as not written.
	Group() (s Store, settle func(ctx context.Context) error)
}

// Group groups writes to any Store; where it knows no groups, each write is
// waited for by itself.
func Group(s Store) (Store, func(ctx context.Context) error) {
	if g, ok := s.(Grouper); ok {
		return g.Group()
	}
	return s, func(context.Context) error { return nil }
}
