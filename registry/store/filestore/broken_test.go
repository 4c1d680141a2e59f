package filestore

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// brokenDisk fails the step number at, and all that follow if cut is set: then
// it is a power cut, after which lose takes away what no fsync had kept. What
// a failed fsync was to keep is lost whatever is fsynced later (fsyncgate).
type brokenDisk struct {
	osDisk
	at    int
	cut   bool
	cause error
	half  func(n int) int // of n bytes a failing write writes so many; half by default

	mu     sync.Mutex // folders are fsynced side by side
	steps  int
	failed string // the step that failed
	log    []string
	undo   []*change
}

// change is what a power cut may take back.
type change struct {
	path   string
	dir    string // the folder whose fsync keeps it; "" for a file's content
	kept   bool
	doomed bool // its fsync failed
	back   func()
	file   os.FileInfo // of a file's content
}

func (d *brokenDisk) step(op, path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.steps++
	d.log = append(d.log, op+" "+path)
	if d.steps == d.at || d.cut && d.at > 0 && d.steps > d.at {
		if d.failed == "" {
			d.failed = op
		}
		return d.cause
	}
	return nil
}

func (d *brokenDisk) changed(path, dir string, back func()) *change {
	c := &change{path: path, dir: dir, back: back}
	d.undo = append(d.undo, c)
	return c
}

// synced is the outcome of an fsync for the changes that it was to keep.
func synced(ok bool, list ...*change) {
	for _, c := range list {
		if ok {
			c.kept = c.kept || !c.doomed
		} else {
			c.doomed = c.doomed || !c.kept
		}
	}
}

// lose takes back what was not fsynced, the newest first: all of it, or what
// chance says. What was changed again since, durably, stays as it is.
func (d *brokenDisk) lose(chance *rand.Rand) {
	settled := map[string]bool{}
	for _, c := range slices.Backward(d.undo) {
		switch {
		case c.kept:
			settled[c.path] = true
		case !settled[c.path] && (chance == nil || chance.IntN(2) == 0):
			c.back()
		}
	}
}

func (d *brokenDisk) Create(path string) (tempFile, error) {
	if err := d.step("create", path); err != nil {
		return nil, err
	}
	f, err := d.osDisk.Create(path)
	if err != nil {
		return nil, err
	}
	again, err := os.OpenFile(path, os.O_WRONLY, 0) // its name may change
	if err != nil {
		return nil, err
	}
	data := d.changed(path+" content", "", func() { again.Truncate(0); again.Close() })
	if data.file, err = again.Stat(); err != nil {
		return nil, err
	}
	return &brokenFile{f, d, path, data}, nil
}

type brokenFile struct {
	tempFile
	d    *brokenDisk
	path string
	data *change
}

func (f *brokenFile) Write(p []byte) (int, error) {
	if err := f.d.step("write", f.path); err != nil {
		n := len(p) / 2
		if f.d.half != nil {
			n = f.d.half(len(p))
		}
		n, _ = f.tempFile.Write(p[:n])
		if err == errShort {
			err = nil
		}
		return n, err
	}
	return f.tempFile.Write(p)
}

func (f *brokenFile) Sync() error {
	err := f.d.step("sync", f.path)
	synced(err == nil, f.data)
	return err // the model remembers; the disk need not
}

func (f *brokenFile) Close() error {
	err := f.d.step("close", f.path)
	if closeErr := f.tempFile.Close(); err == nil {
		err = closeErr
	}
	return err
}

func (d *brokenDisk) Mkdir(path string) error {
	if err := d.step("mkdir", path); err != nil {
		return err
	}
	err := d.osDisk.Mkdir(path)
	if err == nil {
		d.changed(path, filepath.Dir(path), func() { os.RemoveAll(path) })
	}
	return err
}

func (d *brokenDisk) Touch(path string) error {
	if err := d.step("touch", path); err != nil {
		return err
	}
	err := d.osDisk.Touch(path)
	if err == nil {
		d.changed(path, filepath.Dir(path), func() { os.Remove(path) })
	}
	return err
}

func (d *brokenDisk) Place(old, new string) error {
	return d.place("place", old, new, d.osDisk.Place)
}

func (d *brokenDisk) Link(old, new string) error {
	return d.place("link", old, new, d.osDisk.Link)
}

func (d *brokenDisk) Rename(old, new string) error {
	return d.place("rename", old, new, d.osDisk.Rename)
}

func (d *brokenDisk) place(op, old, new string, move func(old, new string) error) error {
	if err := d.step(op, new); err != nil {
		return err
	}
	was, readErr := os.ReadFile(new)
	err := move(old, new)
	if err == nil {
		d.changed(new, filepath.Dir(new), func() {
			os.Remove(new)
			if readErr == nil {
				os.WriteFile(new, was, 0o644)
			}
		})
	}
	return err
}

func (d *brokenDisk) Withdraw(path, temp string) error {
	return d.take("withdraw", path, func() error { return d.osDisk.Withdraw(path, temp) })
}

func (d *brokenDisk) Remove(path string) error {
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.IsDir():
		if err := d.step("prune", path); err != nil {
			return err
		}
		return d.osDisk.Remove(path)
	case filepath.Base(filepath.Dir(path)) == tmpDir: // nobody misses it
		if err := d.step("discard", path); err != nil {
			return err
		}
		return d.osDisk.Remove(path)
	}
	return d.take("remove", path, func() error { return d.osDisk.Remove(path) })
}

// take is a step after which a file is gone.
func (d *brokenDisk) take(op, path string, do func() error) error {
	if err := d.step(op, path); err != nil {
		return err
	}
	was, _ := os.ReadFile(path)
	err := do()
	if err == nil {
		d.changed(path, filepath.Dir(path), func() { os.WriteFile(path, was, 0o644) })
	}
	return err
}

func (d *brokenDisk) OpenLock(path string) (*os.File, error) {
	if err := d.step("lock", path); err != nil {
		return nil, err
	}
	return d.osDisk.OpenLock(path)
}

// SyncFile keeps the bytes of every file that is still called path.
func (d *brokenDisk) SyncFile(path string) error {
	err := d.step("syncfile", path)
	info, statErr := os.Stat(path)
	if statErr != nil {
		return statErr
	}
	for _, c := range d.undo {
		if c.file != nil && os.SameFile(c.file, info) {
			synced(err == nil, c)
		}
	}
	return err
}

func (d *brokenDisk) SyncDir(path string) error {
	err := d.step("syncdir", path)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.undo {
		if c.dir == path {
			synced(err == nil, c)
		}
	}
	if err != nil {
		return err
	}
	_, err = os.Stat(path)
	return err
}
