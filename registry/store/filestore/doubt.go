package filestore

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
)

// doubts are the files whose folder's fsync failed after they were placed. The
// kernel reports such a failure once and may call the folder clean from then
// on, so a later fsync that succeeds says nothing about them: they are written
// anew (see renew) before anyone relies on them.
type doubts struct {
	count atomic.Int64 // spares the lock where there are none
	mu    sync.Mutex
	paths map[string]bool
}

func (d *doubts) about(path string) bool {
	if d.count.Load() == 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.paths[path]
}

func (d *doubts) add(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.paths == nil {
		d.paths = map[string]bool{}
	}
	d.paths[path] = true
	d.count.Store(int64(len(d.paths)))
}

func (d *doubts) clear(path string) {
	if d.count.Load() == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.paths, path)
	d.count.Store(int64(len(d.paths)))
}

// renew gives a file that is in doubt a new inode and a new entry with the
// same bytes. For a pointer the caller has its lock; a Delete of an object at
// the same time counts as having come first.
func (s *Store) renew(ctx context.Context, path string) error {
	if !s.doubts.about(path) {
		return nil
	}
	old, err := os.Open(path)
	if isAbsent(err) {
		s.doubts.clear(path)
		return nil
	}
	if err != nil {
		return err
	}
	defer old.Close()
	temp, f, err := s.writeTemp(ctx, old, path)
	if err != nil {
		return err
	}
	if err := s.place(temp, path, s.disk.Rename); err != nil {
		s.discard(temp, f)
		return err
	}
	_ = f.Close() // its bytes are fsynced
	return nil
}
