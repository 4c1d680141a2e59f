package access

import (
	"sync"
	"time"
)

// failures counts wrong passwords by user and address, so that a password is
// not guessed at the speed of the machine, and by address, so that one that
// makes up users does not keep everybody else waiting.
type failures struct {
	mu  sync.Mutex
	all map[string]*failed
}

type failed struct {
	n     int
	until time.Time // when they are forgotten
}

// What is too many, and how many are remembered.
const (
	maxFailed     = 10  // of one user from one address
	maxFailedFrom = 100 // of all users from one address
	failedFor     = time.Minute
	maxFailedKeys = 10_000
)

func newFailures() *failures { return &failures{all: map[string]*failed{}} }

// tooMany says whether a user may not try any more from there.
func (f *failures) tooMany(name, from string, now time.Time) bool {
	return f.blocked(attempt(name, from), maxFailed, now) || f.blocked(attempt("", from), maxFailedFrom, now)
}

// wrong notes a wrong password.
func (f *failures) wrong(name, from string, now time.Time) {
	f.add(attempt(name, from), now)
	f.add(attempt("", from), now)
}

// attempt is what is counted; no user's name is "".
func attempt(name, from string) string { return name + "\x00" + from }

func (f *failures) blocked(key string, most int, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.all[key]
	return e != nil && now.Before(e.until) && e.n >= most
}

func (f *failures) add(key string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.all[key]
	if e == nil || !now.Before(e.until) {
		f.makeRoom(now)
		e = &failed{}
		f.all[key] = e
	}
	e.n++
	e.until = now.Add(failedFor)
}

// makeRoom drops what is over, and where that is not enough whatever comes
// first: a quarter at once, so that a flood does not make each failure walk all.
func (f *failures) makeRoom(now time.Time) {
	if len(f.all) < maxFailedKeys {
		return
	}
	for key, e := range f.all {
		if !now.Before(e.until) {
			delete(f.all, key)
		}
	}
	for key := range f.all {
		if len(f.all) <= maxFailedKeys*3/4 {
			return
		}
		delete(f.all, key)
	}
}

func (f *failures) forget(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, key)
}
