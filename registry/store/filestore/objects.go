package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"kiln/registry/store"

	"golang.org/x/sys/unix"
)

var (
	_ store.Store  = (*Store)(nil)
	_ store.Copier = (*Store)(nil)
)

// Put implements store.Store. Should only the last step fail, the fsync of the
// folder, the whole object may stay visible, though Put returns the error.
func (s *Store) Put(ctx context.Context, key string, r io.Reader) error {
	if err := s.put(ctx, key, r, s.syncPlaced); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

// put makes an object and has synced keep its entry.
func (s *Store) put(ctx context.Context, key string, r io.Reader, synced func(path string) error) error {
	if err := errors.Join(store.CheckKey(key), ctx.Err()); err != nil {
		return err
	}
	path := s.path(key, kindObject)
	if there, err := s.keep(ctx, path); there || err != nil {
		return err
	}
	if sized, ok := r.(interface{ Len() int }); ok && sized.Len() == 0 {
		return s.touch(ctx, path, synced)
	}
	temp, f, err := s.writeTemp(ctx, r, path)
	if err != nil {
		return err
	}
	switch err := s.enter(path, func() error { return s.disk.Place(temp, path) }, synced); {
	case errors.Is(err, fs.ErrExist): // another writer was first
		s.discard(temp, f)
		_, err := s.keep(ctx, path)
		return err
	case err != nil:
		s.discard(temp, f)
		return folderClash(err)
	}
	_ = f.Close() // its bytes are fsynced
	return nil
}

// touch makes an empty object. It has no bytes to fsync: like a folder it is
// there once its entry is.
func (s *Store) touch(ctx context.Context, path string, synced func(path string) error) error {
	err := s.enter(path, func() error { return s.disk.Touch(path) }, synced)
	if errors.Is(err, fs.ErrExist) {
		_, err = s.keep(ctx, path)
	}
	return folderClash(err)
}

// keep tells whether an object is there already, and has its entry durable:
// whoever made it may have died before the fsync of the folder.
func (s *Store) keep(ctx context.Context, path string) (bool, error) {
	switch info, err := os.Lstat(path); {
	case isAbsent(err):
		return false, nil
	case err != nil:
		return false, err
	case !info.Mode().IsRegular():
		return false, folderClash(unix.EISDIR)
	}
	dir := filepath.Dir(path)
	if s.lossyPath(path) {
		return true, nil
	}
	err := s.mkdirAll(dir)
	if err == nil && s.doubts.about(path) {
		return true, s.renew(ctx, path)
	}
	if err == nil {
		err = s.syncDir(dir)
	}
	if isAbsent(err) { // deleted meanwhile
		return false, nil
	}
	if err = refusal(err); errors.Is(err, store.ErrReadOnly) {
		return true, nil // nobody can have written since it was mounted
	}
	if err != nil {
		s.doubts.add(path)
	}
	return true, err
}

// folderClash names the reason when one key is another's folder.
func folderClash(err error) error {
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EISDIR) {
		return fmt.Errorf("%w: it is the folder of another key, or lies in one: %v", store.ErrInvalidKey, err)
	}
	return err
}

// Copy implements store.Copier with a hard link; what is linked never changes.
func (s *Store) Copy(ctx context.Context, from, to string) error {
	if err := errors.Join(store.CheckKey(from), store.CheckKey(to), ctx.Err()); err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	if err := s.copy(ctx, from, to, s.syncPlaced); err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return nil
}

func (s *Store) copy(ctx context.Context, from, to string, synced func(path string) error) error {
	source, path := s.path(from, kindObject), s.path(to, kindObject)
	if _, err := os.Lstat(source); err != nil {
		return notFound(err)
	}
	if err := s.syncSource(source); err != nil {
		return notFound(err)
	}
	err := s.enter(path, func() error { return s.disk.Link(source, path) }, synced)
	if errors.Is(err, fs.ErrExist) {
		_, err = s.keep(ctx, path)
	}
	return folderClash(err)
}

// Open implements store.Store.
func (s *Store) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	f, size, err := s.openObject(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", key, err)
	}
	if offset < 0 {
		return nil, errors.Join(fmt.Errorf("open %s: negative offset %d", key, offset), f.Close())
	}
	rest := max(size-offset, 0)
	if length < 0 || length > rest {
		length = rest
	}
	return &section{io.NewSectionReader(f, offset, length), f}, nil
}

func (s *Store) openObject(ctx context.Context, key string) (*os.File, int64, error) {
	if err := errors.Join(store.CheckKey(key), ctx.Err()); err != nil {
		return nil, 0, err
	}
	path := s.path(key, kindObject)
	if err := s.renew(ctx, path); err != nil {
		return nil, 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, notFound(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// Stat implements store.Store.
func (s *Store) Stat(ctx context.Context, key string) (store.Info, error) {
	if err := errors.Join(store.CheckKey(key), ctx.Err()); err != nil {
		return store.Info{}, fmt.Errorf("stat %s: %w", key, err)
	}
	path := s.path(key, kindObject)
	if err := s.renew(ctx, path); err != nil {
		return store.Info{}, fmt.Errorf("stat %s: %w", key, err)
	}
	var info unix.Stat_t
	_, err := retry(func() (int, error) { return 0, unix.Lstat(path, &info) })
	if err == nil && info.Mode&unix.S_IFMT != unix.S_IFREG {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Info{}, fmt.Errorf("stat %s: %w", key, notFound(err))
	}
	return store.Info{Key: key, Size: info.Size, ModTime: time.Unix(info.Mtim.Unix())}, nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := errors.Join(store.CheckKey(key), ctx.Err()); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	path := s.path(key, kindObject)
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		return nil
	}
	if err := s.remove(path); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

// remove unlinks a file durably. It takes it out of its folder first: where
// the folder's fsync fails the file comes back, so that the next try does all
// of it again.
func (s *Store) remove(path string) error {
	if s.lossyPath(path) {
		return s.removeLossy(path)
	}
	dir := filepath.Dir(path)
	if _, err := os.Lstat(path); isAbsent(err) {
		return s.syncGone(dir)
	}
	temp, err := s.withdraw(path)
	if isAbsent(err) {
		return s.syncGone(dir)
	}
	if err != nil {
		return refusal(err)
	}
	if err := s.syncDir(dir); err != nil && !isAbsent(err) {
		s.restore(temp, path)
		return refusal(err)
	}
	s.doubts.clear(path)
	if temp != path {
		_ = s.disk.Remove(temp) // or it is swept later
	}
	s.prune(dir)
	return nil
}

// withdraw moves a file to a temporary name. On a medium too full for that it
// removes it, and temp is path.
func (s *Store) withdraw(path string) (temp string, err error) {
	temp = filepath.Join(s.dir, tmpDir, nonce())
	err = s.disk.Withdraw(path, temp)
	if isAbsent(err) {
		if _, err := os.Lstat(path); err != nil {
			return "", err
		}
		if err := s.create(); err != nil {
			return "", err
		}
		err = s.disk.Withdraw(path, temp)
	}
	if errors.Is(refusal(err), store.ErrFull) {
		return path, s.disk.Remove(path)
	}
	return temp, err
}

// restore gives a file back whose removal is not durable.
func (s *Store) restore(temp, path string) {
	if temp == path {
		return
	}
	s.doubts.add(path)
	if s.disk.Place(temp, path) != nil { // another has been put there since
		_ = s.disk.Remove(temp)
	}
}

// syncGone has durable that something is not in dir any more: whoever removed
// it may have died before the fsync.
func (s *Store) syncGone(dir string) error {
	err := refusal(s.syncDir(dir))
	if isAbsent(err) || errors.Is(err, store.ErrReadOnly) {
		return nil
	}
	return err
}

func notFound(err error) error {
	if isAbsent(err) {
		return store.ErrNotFound
	}
	return err
}
