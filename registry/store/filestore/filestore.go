// Package filestore keeps a store in a folder of a local file system.
//
// An object is the file at its key. A pointer is the file at its name with the
// suffix "%pointer"; its first line holds a random revision and the sha256 of
// the value, the rest is the value. A '%' in a key is written "%25", and a
// component longer than 200 bytes is broken into nested folders that end in
// "%+", so that any key of the store package fits any file system. No key may
// be another key's folder.
//
// Every write goes to a temporary file in tmp/, is fsynced, gets its name by
// rename or link, and then the folder is fsynced; any of these failing fails
// the write. An fsync that failed is never made good by a later one of the
// same file: see doubt.go. Only unfinished uploads go without fsync: see
// lossy.go. An empty object is made in its place. Pointers are swapped under
// flock on locks/<sha256 of the name>, of which uploads share some; lock files
// are never removed. So any number of processes can share a folder as long as
// the file system is local: see Check.
package filestore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"kiln/registry/store"

	"golang.org/x/sys/unix"
)

const (
	tmpDir   = "tmp"
	locksDir = "locks"
)

// Options of Open.
type Options struct {
	// Create makes folder and format where there are none. Without it Open
	// returns store.ErrNotFound then.
	Create bool
	// Bare opens what may be no store: a backup, or what is to be restored. No
	// format is read or written, and the store has no ID. With Create the
	// folder is made.
	Bare bool
}

// Store is a store.Store, and through Pointers a store.Pointers.
type Store struct {
	dir     string
	disk    disk
	format  store.Format
	buffers *buffers
	syncs   *syncs

	mu      sync.Mutex
	durable map[string]bool     // folders whose own entry is fsynced
	held    map[string]*holding // pointer locks of this process
	doubts  doubts

	listings listings
	memo     pointerMemo
}

// Open opens the store in dir. It returns store.ErrNotFound if there is none
// and store.ErrFormat if it is of an unknown layout. A folder that takes no
// writes opens; writes return store.ErrReadOnly.
func Open(ctx context.Context, dir string, opts Options) (*Store, error) {
	return open(ctx, dir, opts, osDisk{})
}

func open(ctx context.Context, dir string, opts Options, d disk) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir: dir, disk: d, buffers: newBuffers(), syncs: newSyncs(),
		durable: map[string]bool{}, held: map[string]*holding{},
	}
	if opts.Create {
		if err := s.create(); err != nil && !errors.Is(err, store.ErrReadOnly) {
			return nil, fmt.Errorf("create store %s: %w", dir, err)
		}
	}
	switch {
	case opts.Bare:
	case opts.Create:
		s.format, err = store.EnsureFormat(ctx, s.Pointers())
		if err != nil && s.doubts.about(s.path(store.FormatPointer, kindPointer)) {
			s.format, err = store.ReadFormat(ctx, s.Pointers()) // which writes it anew
		}
	default:
		s.format, err = store.ReadFormat(ctx, s.Pointers())
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s.sweep()
	return s, nil
}

// Dir is the store's folder.
func (s *Store) Dir() string { return s.dir }

// ID is the store's random id, given when it was made.
func (s *Store) ID() string { return s.format.StoreID }

// create makes the folders that writing needs, also if they were there once.
func (s *Store) create() error {
	if err := s.mkdirMissing(s.dir); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Join(s.dir, tmpDir), filepath.Join(s.dir, locksDir)} {
		s.forget(dir)
		if err := s.mkdir(dir); err != nil {
			return err
		}
	}
	return nil
}

// mkdirMissing makes dir and what is missing above it, durably. What is there
// it leaves alone: the store may lie in a folder that we cannot read.
func (s *Store) mkdirMissing(dir string) error {
	if _, err := os.Stat(dir); !isAbsent(err) || dir == filepath.Dir(dir) {
		return err
	}
	if err := s.mkdirMissing(filepath.Dir(dir)); err != nil {
		return err
	}
	return s.mkdir(dir)
}

// mkdir makes one folder and has its entry durable. Another process may have
// made it and not yet fsynced, so one that is there is fsynced once as well.
func (s *Store) mkdir(dir string) error {
	if s.lossyPath(dir) {
		return s.mkdirLossy(dir)
	}
	s.mu.Lock()
	done := s.durable[dir]
	s.mu.Unlock()
	if done {
		return nil
	}
	if err := s.disk.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return refusal(err)
	}
	if err := s.syncDir(filepath.Dir(dir)); err != nil {
		_ = s.disk.Remove(dir) // if it is empty: the next try is a new entry
		return refusal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.durable) >= maxDurable {
		clear(s.durable)
	}
	s.durable[dir] = true
	return nil
}

// maxDurable bounds the memory of folders; forgetting one costs an fsync.
const maxDurable = 1 << 16

// mkdirAll makes dir, below the store's folder, with all that lead to it.
func (s *Store) mkdirAll(dir string) error {
	if dir == s.dir {
		return nil
	}
	s.mu.Lock()
	done := s.durable[dir]
	s.mu.Unlock()
	if done {
		return nil
	}
	if err := s.mkdirAll(filepath.Dir(dir)); err != nil {
		return err
	}
	return s.mkdir(dir)
}

// forget drops what is known of dir and its parents: someone removed one.
func (s *Store) forget(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; len(dir) > len(s.dir); dir = filepath.Dir(dir) {
		delete(s.durable, dir)
	}
}

// refusal names the ways in which a medium refuses writes: ErrReadOnly, ErrFull.
func refusal(err error) error {
	switch {
	case errors.Is(err, unix.EROFS), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: %w", store.ErrReadOnly, err)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

func nonce() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
