package filestore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	staleAge   = time.Hour // of a temporary file without a writer
	placeTries = 10        // how often a folder may vanish under a writer
)

// writeTemp writes r to a new temporary file and fsyncs it, unless that is for
// a lossy path. The caller closes the file once it is placed or removed: its
// lock keeps sweeps away until then.
func (s *Store) writeTemp(ctx context.Context, r io.Reader, target string) (path string, f tempFile, err error) {
	path = filepath.Join(s.dir, tmpDir, nonce())
	f, err = s.disk.Create(path)
	if isAbsent(err) { // a store that was copied without its empty folders
		if err := s.create(); err != nil {
			return "", nil, err
		}
		f, err = s.disk.Create(path)
	}
	if err != nil {
		return "", nil, refusal(err)
	}
	err = s.buffers.fill(ctx, f, r)
	switch {
	case err != nil:
	case s.lossyPath(target):
		err = f.Trim()
	default:
		err = f.Sync()
	}
	if err != nil {
		s.discard(path, f)
		return "", nil, refusal(err)
	}
	return path, f, nil
}

// discard removes a temporary file that got no other name. What cannot be
// removed now is swept later.
func (s *Store) discard(path string, f tempFile) {
	_ = s.disk.Remove(path)
	_ = f.Close()
}

// place gives the temporary file its final name by move, which is Place or
// Rename of the disk, making the folders that lead there, and has it durable.
func (s *Store) place(temp, path string, move func(old, new string) error) error {
	return s.enter(path, func() error { return move(temp, path) }, s.syncPlaced)
}

// enter has do make the entry path, once the folders that lead there are made,
// and then synced have it durable.
func (s *Store) enter(path string, do func() error, synced func(path string) error) error {
	dir := filepath.Dir(path)
	for try := 1; ; try++ {
		err := s.mkdirAll(dir)
		if err == nil {
			err = do()
		}
		if err == nil && s.lossyPath(path) {
			return nil
		}
		if err == nil {
			return synced(path)
		}
		if !errors.Is(err, fs.ErrNotExist) || try == placeTries {
			return refusal(err)
		}
		s.forget(dir) // a Delete in another process emptied it
	}
}

// syncPlaced fsyncs the folder of a file that was just placed. Without the
// folder the file was deleted since.
func (s *Store) syncPlaced(path string) error {
	if err := s.syncDir(filepath.Dir(path)); err != nil && !isAbsent(err) {
		s.doubts.add(path)
		return refusal(err)
	}
	s.doubts.clear(path)
	return nil
}

// syncDir fsyncs a folder, together with all that wait for the same.
func (s *Store) syncDir(dir string) error { return s.syncs.do(dir, s.disk.SyncDir) }

// prune removes dir if it is empty, unless it is one of the store's first
// level. Writers make it again.
func (s *Store) prune(dir string) {
	if parent := filepath.Dir(dir); len(parent) > len(s.dir) && s.disk.Remove(dir) == nil {
		s.forget(dir)
	}
}

// sweep removes temporary files whose writer died.
func (s *Store) sweep() {
	entries, err := os.ReadDir(filepath.Join(s.dir, tmpDir))
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || time.Since(info.ModTime()) < staleAge {
			continue
		}
		s.sweepOne(filepath.Join(s.dir, tmpDir, e.Name()))
	}
}

func (s *Store) sweepOne(path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		_ = s.disk.Remove(path)
	}
}

// readFunc is a Read without a type of its own.
type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// until reads r as long as ctx has not ended.
func until(ctx context.Context, r io.Reader) io.Reader {
	return readFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}
