package ociserver

import (
	"context"
	"maps"
	"sync"
	"time"

	"kiln/registry"
)

// acquire takes a place for a blob on its way in; the caller gives it back.
// CodeTooManyRequests when all are taken.
func (s *Server) acquire() (release func(), err error) {
	select {
	case s.transfers <- struct{}{}:
		return func() { <-s.transfers }, nil
	default:
		return nil, registry.Errorf(registry.CodeTooManyRequests, "too many uploads at once; try again in a moment")
	}
}

// sessionIdle is how long an unfinished upload counts.
const sessionIdle = time.Hour

// sessions counts the unfinished uploads, so that clients cannot fill the store
// with them. It knows those that were begun in this process; where it seems that
// these are too many it counts what is in the store, as many of them may have
// been finished on another replica. How long one may be resumed is the
// registry's business.
type sessions struct {
	count func(ctx context.Context, limit int) (int, error) // in the store; nil for not known

	mu      sync.Mutex
	max     int
	begun   map[string]time.Time
	stored  int       // counted in the store, without those begun since
	counted time.Time // when that was
}

// Times of counting in the store.
const (
	countPause = 10 * time.Second // between counts
	countAfter = time.Minute      // an upload without bytes by then is given up
)

func newSessions(limit int, count func(context.Context, int) (int, error)) *sessions {
	return &sessions{max: limit, count: count, begun: map[string]time.Time{}}
}

// room refuses another upload, with CodeTooManyRequests, when there are max.
func (s *sessions) room(ctx context.Context) error {
	if s.free(sessionIdle) {
		return nil
	}
	if s.mayCount() {
		n, err := s.count(ctx, s.max)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.stored = n
		s.mu.Unlock()
		if s.free(countAfter) {
			return nil
		}
	}
	return registry.Errorf(registry.CodeTooManyRequests, "too many unfinished uploads; finish or cancel some")
}

// free says whether there is room, if need be without those begun before idle.
func (s *sessions) free(idle time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stored+len(s.begun) < s.max {
		return true
	}
	maps.DeleteFunc(s.begun, func(_ string, at time.Time) bool { return time.Since(at) > idle })
	return s.stored+len(s.begun) < s.max
}

func (s *sessions) mayCount() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == nil || time.Since(s.counted) < countPause {
		return false
	}
	s.counted = time.Now()
	return true
}

func (s *sessions) begin(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun[id] = time.Now()
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.begun[id]; ok {
		delete(s.begun, id)
	} else if s.stored > 0 { // one of those, or of another replica, which counts again
		s.stored--
	}
}
