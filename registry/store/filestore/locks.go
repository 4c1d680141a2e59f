package filestore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kiln/registry/store"

	"golang.org/x/sys/unix"
)

// holding is a pointer's lock inside this process: turn has room for the one
// that has it; users counts those that have or want it.
type holding struct {
	turn  chan struct{}
	users int
}

const (
	firstPoll = 200 * time.Microsecond
	lastPoll  = 10 * time.Millisecond
)

// lock takes the lock of a pointer, first within the process, so that only one
// goroutine polls the file, then among processes. It waits as long as ctx lets it.
func (s *Store) lock(ctx context.Context, name string) (unlock func(), err error) {
	name = lockName(name)
	h := s.hold(name)
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		s.release(name, h)
		return nil, ctx.Err()
	}
	f, err := s.lockFile(ctx, name)
	if err != nil {
		<-h.turn
		s.release(name, h)
		return nil, err
	}
	return func() {
		_ = f.Close() // lets go of the lock
		<-h.turn
		s.release(name, h)
	}, nil
}

// lockName is the name that a pointer's lock goes by. Uploads come and go while
// their lock files stay, so they share 256 or so.
func lockName(name string) string {
	if id, ok := strings.CutPrefix(name, store.UploadsPrefix); ok && len(id) > 2 {
		return store.UploadsPrefix + id[:2]
	}
	return name
}

func (s *Store) hold(name string) *holding {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.held[name]
	if h == nil {
		h = &holding{turn: make(chan struct{}, 1)}
		s.held[name] = h
	}
	h.users++
	return h
}

func (s *Store) release(name string, h *holding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.users--; h.users == 0 {
		delete(s.held, name)
	}
}

// lockFile flocks the file of a pointer. It polls, since a waiting flock would
// neither end with ctx nor give its thread back.
func (s *Store) lockFile(ctx context.Context, name string) (*os.File, error) {
	sum := sha256.Sum256([]byte(name))
	path := filepath.Join(s.dir, locksDir, hex.EncodeToString(sum[:]))
	f, err := s.disk.OpenLock(path)
	if isAbsent(err) {
		if err := s.create(); err != nil {
			return nil, err
		}
		f, err = s.disk.OpenLock(path)
	}
	if err != nil {
		return nil, refusal(err)
	}
	for wait := firstPoll; ; wait = min(2*wait, lastPoll) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		}
	}
}
