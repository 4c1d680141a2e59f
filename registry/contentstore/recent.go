package contentstore

import "sync"

// recent is a set that forgets its oldest half when it is full. Safe for
// concurrent use; the zero value is empty.
type recent struct {
	mu          sync.Mutex
	young, aged map[string]bool
}

// maxRecent bounds each half.
const maxRecent = 10_000

func (s *recent) add(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young == nil || len(s.young) >= maxRecent {
		s.young, s.aged = map[string]bool{}, s.young
	}
	s.young[name] = true
}

func (s *recent) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.young[name] || s.aged[name]
}
