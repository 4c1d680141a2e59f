package layers

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// enter opens the folder that the archive names dir, following symlinks inside
// the root and making what is missing.
func (x *extractor) enter(dir string) error {
	if x.parent != nil && x.raw == dir {
		return nil
	}
	resolved, err := resolve(dir+"/x", x.link)
	if err != nil {
		return err
	}
	resolved = path.Dir(resolved)
	f, err := x.openFolder(resolved)
	if err != nil {
		return err
	}
	x.leave()
	x.parent, x.at, x.raw = f, resolved, dir
	return nil
}

// leave closes the open folder: what is open may no longer be what its name
// says.
func (x *extractor) leave() {
	if x.parent != nil {
		x.parent.Close()
		x.parent = nil
	}
}

// link is what resolve asks: the text of a symlink, "" for a folder or
// nothing. A whiteout of this layer counts as nothing.
func (x *extractor) link(p string) (string, error) {
	info, err := x.root.Lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case info.Mode()&fs.ModeSymlink != 0:
		return x.root.Readlink(p)
	case !info.IsDir() && !isWhiteout(info):
		return "", ErrNotADir
	}
	return "", nil
}

// openFolder opens a resolved folder, making it and those above it.
func (x *extractor) openFolder(p string) (*os.File, error) {
	if p != "." {
		if err := x.ensureFolder(p); err != nil {
			return nil, err
		}
	}
	if err := x.note(p); err != nil {
		return nil, err
	}
	return x.root.OpenFile(p, os.O_RDONLY|syscall.O_DIRECTORY, 0)
}

func (x *extractor) ensureFolder(p string) error {
	if above := path.Dir(p); above != "." {
		if err := x.ensureFolder(above); err != nil {
			return err
		}
	}
	if err := x.note(path.Dir(p)); err != nil {
		return err
	}
	x.made[p] = true
	info, err := x.root.Lstat(p)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil && isWhiteout(info):
		return x.folderOverWhiteout(p)
	case err == nil:
		return fmt.Errorf("%q: %w", p, ErrNotADir)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := x.root.Mkdir(p, 0o700); err != nil {
		return err
	}
	return x.imply(p)
}

// folderOverWhiteout turns a whiteout of this layer into an opaque folder: the
// layer both removes what is below and has a folder of its own there.
func (x *extractor) folderOverWhiteout(p string) error {
	if err := x.root.Remove(p); err != nil {
		return err
	}
	if err := x.root.Mkdir(p, 0o700); err != nil {
		return err
	}
	x.folders[p] = &folderMeta{mode: 0o755, mtime: Epoch()}
	f, err := x.root.Open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	return x.markOpaque(f)
}

// imply gives a folder that the layer only implies the metadata of the folder
// that it will lie on.
func (x *extractor) imply(p string) error {
	meta := &folderMeta{mode: 0o755, mtime: Epoch()}
	x.folders[p] = meta
	old, err := x.lower.find(p)
	if err != nil || old == nil || old.entry.Type != tar.TypeDir {
		return err
	}
	f, err := x.root.Open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	meta.mode = old.entry.Mode
	if old.modTime != (time.Time{}) {
		meta.mtime = old.modTime
	}
	if err := f.Chown(old.entry.UID, old.entry.GID); err != nil {
		return err
	}
	return setXattrs(f, "", old.entry.Xattrs)
}

// note remembers a folder's permissions and time before the first change in
// it.
func (x *extractor) note(p string) error {
	if x.folders[p] != nil {
		return nil
	}
	info, err := x.root.Lstat(p)
	if err != nil {
		return err
	}
	mode := uint32(info.Mode().Perm())
	for bit, flag := range map[uint32]fs.FileMode{
		ModeSetuid: fs.ModeSetuid, ModeSetgid: fs.ModeSetgid, ModeSticky: fs.ModeSticky,
	} {
		if info.Mode()&flag != 0 {
			mode |= bit
		}
	}
	x.folders[p] = &folderMeta{mode: mode, mtime: info.ModTime()}
	return nil
}

// setFolder sets what folderMeta holds.
func (x *extractor) setFolder(p string, meta *folderMeta) error {
	f, err := x.root.Open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Fchmod(int(f.Fd()), meta.mode); err != nil {
		return err
	}
	return setTime(f, "", meta.mtime)
}

func (x *extractor) rootOwner(e *Entry) error {
	f, err := x.root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Chown(e.UID, e.GID); err != nil {
		return err
	}
	return setXattrs(f, "", e.Xattrs)
}

// deepestFirst sorts paths so that every folder comes after what it holds.
func deepestFirst(folders map[string]*folderMeta) []string {
	return slices.SortedFunc(maps.Keys(folders), func(a, b string) int {
		return strings.Count(b, "/") - strings.Count(a, "/") + isRoot(a) - isRoot(b)
	})
}

func isRoot(p string) int {
	if p == "." {
		return 1
	}
	return 0
}
