package filestore

import "sync"

// syncs fsyncs folders for many writers at once: one fsync serves all that
// asked for it before it began.
type syncs struct {
	mu      sync.Mutex
	running map[string]*syncRound
	next    map[string]*syncRound // those that wait for the running one's end
}

// syncRound is one fsync of a folder, and those whom it serves.
type syncRound struct {
	done   chan struct{}
	err    error
	failed bool // it was tried, and failed
}

func newSyncs() *syncs {
	return &syncs{running: map[string]*syncRound{}, next: map[string]*syncRound{}}
}

// do returns after an fsync of dir that began after the call. One that waited
// behind a failed fsync fails as well: what it waits for may have been lost
// with that one, which no later fsync would tell.
func (s *syncs) do(dir string, fsync func(dir string) error) error {
	s.mu.Lock()
	if round := s.next[dir]; round != nil {
		s.mu.Unlock()
		<-round.done
		return round.err
	}
	round := &syncRound{done: make(chan struct{})}
	before := s.running[dir]
	s.next[dir] = round
	s.mu.Unlock()
	if before != nil {
		<-before.done
	}

	s.mu.Lock()
	delete(s.next, dir)
	s.running[dir] = round
	s.mu.Unlock()
	if before != nil && before.failed {
		round.err = before.err
	} else {
		round.err = fsync(dir)
		round.failed = round.err != nil
	}

	s.mu.Lock()
	if s.running[dir] == round {
		delete(s.running, dir)
	}
	s.mu.Unlock()
	close(round.done)
	return round.err
}
