package ociserver

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"kiln/registry"
)

// Uploads that were begun here and finished on another replica leave room: the
// store is counted, and not at each request.
func TestUploadsFinishedElsewhere(t *testing.T) {
	stored, asked := 1, 0
	s := newSessions(10, func(_ context.Context, limit int) (int, error) { asked++; return min(stored, limit), nil })
	for i := range 10 {
		s.begun[fmt.Sprint(i)] = time.Now().Add(-2 * time.Minute)
	}
	for range 9 { // one is in the store
		if err := s.room(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.begin(fmt.Sprint("new", len(s.begun)))
	}
	for range 3 {
		if err := s.room(t.Context()); !errors.Is(err, registry.CodeTooManyRequests) {
			t.Fatalf("more than there may be: %v", err)
		}
	}
	if asked != 1 {
		t.Errorf("counted %d times", asked)
	}
	s.end("of another replica")
	if err := s.room(t.Context()); err != nil {
		t.Errorf("one ended: %v", err)
	}
	s.begin("last")
	stored = 10
	s.counted = time.Now().Add(-time.Hour)
	for id := range s.begun {
		s.begun[id] = time.Now().Add(-2 * time.Minute)
	}
	if err := s.room(t.Context()); !errors.Is(err, registry.CodeTooManyRequests) {
		t.Errorf("the store is full of them: %v", err)
	}
}
