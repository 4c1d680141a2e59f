package bake

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// sweepAge is how old a temporary folder must be before a sweep looks whether
// its bake is still there: time enough to lock a folder just made.
const sweepAge = time.Minute

// tempDir makes a folder that goes with the returned function. It is locked
// while its bake lives, so that what a killed one left can be told from it.
func (c *Cache) tempDir(prefix string) (string, func(), error) {
	return lockedTemp(c.path("tmp"), prefix)
}

func lockedTemp(parent, prefix string) (string, func(), error) {
	dir, err := os.MkdirTemp(parent, prefix+"-")
	if err != nil {
		return "", nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, err
	}
	return dir, func() {
		os.RemoveAll(dir)
		lock.Close()
	}, nil
}

// lockDir locks a folder until the file is closed; it fails if another has it.
func lockDir(dir string) (*os.File, error) { return flock(dir, unix.LOCK_EX|unix.LOCK_NB) }

// lockDirWait is lockDir that waits: for locks held for moments.
func lockDirWait(dir string) (*os.File, error) { return flock(dir, unix.LOCK_EX) }

func flock(path string, how int) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// lockShared is held while entries are claimed, lockAlone while they are pruned.
func (c *Cache) lockShared() (*os.File, error) { return flock(c.dir, unix.LOCK_SH) }
func (c *Cache) lockAlone() (*os.File, error)  { return flock(c.dir, unix.LOCK_EX) }

// sweep removes what killed bakes left. What cannot be removed now stays for
// the next one.
func (c *Cache) sweep() {
	sweep(c.path("tmp"))
	sweep(c.path("running"))
	sweep(memoryDir())
}

func sweep(parent string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < sweepAge {
			continue
		}
		path := filepath.Join(parent, e.Name())
		if lock, err := lockDir(path); err == nil {
			os.RemoveAll(path)
			lock.Close()
		}
	}
}
