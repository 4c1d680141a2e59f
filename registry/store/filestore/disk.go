package filestore

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// disk is every step by which this package changes the disk, so that tests
// can fail each of them.
type disk interface {
	// Create makes the temporary file path, which must not exist.
	Create(path string) (tempFile, error)
	Mkdir(path string) error
	// Touch makes the empty file path, which must not exist (fs.ErrExist).
	Touch(path string) error
	// Place gives old the name new, unless that exists (fs.ErrExist).
	Place(old, new string) error
	// Link gives old the name new as well, unless that exists.
	Link(old, new string) error
	// Rename gives old the name new, in place of what was there.
	Rename(old, new string) error
	// Withdraw takes a file out of its folder to be removed: temp is its name
	// until then.
	Withdraw(path, temp string) error
	Remove(path string) error
	// OpenLock opens a lock file, and makes it where there is none.
	OpenLock(path string) (*os.File, error)
	SyncDir(path string) error
	// SyncFile fsyncs a file that was written before.
	SyncFile(path string) error
}

// tempFile is the part of os.File that writing uses.
type tempFile interface {
	io.Writer
	// Trim gives back room on the disk that was taken and not written to.
	// Sync does so as well.
	Trim() error
	Sync() error
	Close() error
}

type osDisk struct{}

func (osDisk) Create(path string) (tempFile, error) {
	fd, err := openRaw(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	// The lock tells a sweep in another process that this file has a writer.
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &osFile{File: f}, nil
}

func (osDisk) Touch(path string) error {
	fd, err := openRaw(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func (osDisk) Mkdir(path string) error      { return os.Mkdir(path, 0o755) }
func (osDisk) Rename(old, new string) error { return os.Rename(old, new) }
func (osDisk) Link(old, new string) error   { return os.Link(old, new) }
func (osDisk) Remove(path string) error     { return os.Remove(path) }

func (osDisk) Withdraw(path, temp string) error { return os.Rename(path, temp) }

func (osDisk) OpenLock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o644)
}

func (osDisk) Place(old, new string) error {
	err := unix.Renameat2(unix.AT_FDCWD, old, unix.AT_FDCWD, new, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // not every file system has it
		if err := os.Link(old, new); err != nil {
			return err
		}
		return os.Remove(old)
	}
	return err
}

func (osDisk) SyncDir(path string) error  { return syncPath(path) }
func (osDisk) SyncFile(path string) error { return syncPath(path) }

func syncPath(path string) error {
	fd, err := openRaw(path, unix.O_RDONLY)
	if err != nil {
		return err
	}
	_, err = retry(func() (int, error) { return 0, unix.Fsync(fd) })
	if err != nil {
		err = &fs.PathError{Op: "sync", Path: path, Err: err}
	}
	return errors.Join(err, unix.Close(fd))
}

// openRaw opens a file of the disk. os.OpenFile asks the kernel five times
// more, to find out that nobody can wait for such a file.
func openRaw(path string, flags int) (int, error) {
	fd, err := retry(func() (int, error) { return unix.Open(path, flags|unix.O_CLOEXEC, 0o644) })
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// isAbsent tells that nothing has that name, also because a component on the
// way is a file.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}
