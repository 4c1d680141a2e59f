package layers

import (
	"errors"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// whiteout removes, or marks as removed, the name target of the open folder.
// What this layer itself brings stays: a whiteout means what lies below.
func (x *extractor) whiteout(target string) error {
	p := path.Join(x.at, target)
	info, err := x.root.Lstat(p)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return err
	}
	switch {
	case missing && x.opts.Overlay:
		err := unix.Mknodat(int(x.parent.Fd()), target, unix.S_IFCHR, 0)
		if errors.Is(err, unix.EPERM) {
			err = unix.Mknodat(int(x.parent.Fd()), target, unix.S_IFSOCK, 0)
		}
		return err
	case missing:
		return nil
	case !x.opts.Overlay:
		return x.removeOlder(p)
	case !info.IsDir():
		return nil // this layer's own file hides what is below
	}
	f, err := x.root.Open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	return x.markOpaque(f)
}

// opaque hides, or removes, what the layers below have in the open folder.
func (x *extractor) opaque() error {
	if x.opts.Overlay {
		return x.markOpaque(x.parent)
	}
	return x.emptyOlder(x.at)
}

// removeOlder removes p but for what this layer brought.
func (x *extractor) removeOlder(p string) error {
	if !x.made[p] {
		return x.remove(p)
	}
	return x.emptyOlder(p)
}

func (x *extractor) emptyOlder(dir string) error {
	info, err := x.root.Lstat(dir)
	if err != nil || !info.IsDir() {
		return err
	}
	f, err := x.root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := x.removeOlder(path.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func (x *extractor) markOpaque(f *os.File) error {
	name := overlayTrusted + "opaque"
	if x.opts.UserXattr {
		name = overlayUser + "opaque"
	}
	err := setXattr(f, "", name, "y")
	if err != nil && !x.opts.UserXattr {
		return setXattr(f, "", overlayUser+"opaque", "y")
	}
	return err
}
