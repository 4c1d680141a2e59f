package filestore

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"kiln/registry/store"
)

// lossy tells unfinished uploads, which are written without fsync: see
// store.UploadsPrefix.
func lossy(key string) bool { return strings.HasPrefix(key, store.UploadsPrefix) }

func (s *Store) lossyPath(path string) bool {
	return strings.HasPrefix(path, s.dir+string(filepath.Separator)+store.UploadsPrefix)
}

// mkdirLossy makes a folder below that of the uploads.
func (s *Store) mkdirLossy(dir string) error {
	err := s.disk.Mkdir(dir)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return refusal(err)
}

// removeLossy unlinks a file.
func (s *Store) removeLossy(path string) error {
	if err := s.disk.Remove(path); err != nil && !isAbsent(err) {
		return refusal(err)
	}
	s.prune(filepath.Dir(path))
	return nil
}

// tornRevision is that of a lossy pointer which a power cut has left damaged:
// its value is empty, and it can be swapped and deleted like any other.
const tornRevision = "torn"

// syncSource fsyncs the bytes of a lossy object before they get a second name.
// Where that fails the object goes: a second try would succeed and mean nothing.
func (s *Store) syncSource(path string) error {
	if !s.lossyPath(path) {
		return nil
	}
	err := refusal(s.disk.SyncFile(path))
	if err != nil && !isAbsent(err) {
		_ = s.disk.Remove(path)
	}
	return err
}
