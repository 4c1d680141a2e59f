package ociserver

import (
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

// sessions counts the unfinished uploads that were begun in this process, so
// that one client cannot fill the store with them. How long one may be resumed
// is the registry's business.
type sessions struct {
	mu    sync.Mutex
	max   int
	begun map[string]time.Time
}

func newSessions(limit int) *sessions {
	return &sessions{max: limit, begun: map[string]time.Time{}}
}

// room refuses another upload, with CodeTooManyRequests, when there are max.
func (s *sessions) room() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.begun) < s.max {
		return nil
	}
	for id, at := range s.begun {
		if time.Since(at) > sessionIdle {
			delete(s.begun, id)
		}
	}
	if len(s.begun) < s.max {
		return nil
	}
	return registry.Errorf(registry.CodeTooManyRequests, "too many unfinished uploads; finish or cancel some")
}

func (s *sessions) begin(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun[id] = time.Now()
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.begun, id)
}
