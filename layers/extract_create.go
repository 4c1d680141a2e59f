package layers

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// create makes the entry as the name base in the open folder.
func (x *extractor) create(e *Entry, base string) error {
	p := path.Join(x.at, base)
	exists, err := x.clear(e, p)
	if err != nil {
		return err
	}
	x.made[p] = true
	dir := int(x.parent.Fd())
	switch e.Type {
	case tar.TypeReg:
		return x.file(e, base)
	case tar.TypeDir:
		return x.folder(e, base, p, exists)
	case tar.TypeLink:
		return x.hardLink(e, base)
	case tar.TypeSymlink:
		err = unix.Symlinkat(e.Link, dir, base)
	case tar.TypeFifo:
		err = unix.Mknodat(dir, base, unix.S_IFIFO|0o600, 0)
	case tar.TypeChar, tar.TypeBlock:
		err = x.device(e, base)
	}
	if err != nil {
		return err
	}
	return x.setMeta(e, base)
}

// clear removes what is at p, but for a folder that the entry keeps.
func (x *extractor) clear(e *Entry, p string) (exists bool, err error) {
	info, err := x.root.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	switch {
	case info.IsDir() && e.Type == tar.TypeDir:
		return true, nil
	case x.opts.Overlay && isWhiteout(info) && e.Type == tar.TypeDir:
		return true, x.folderOverWhiteout(p)
	}
	return false, x.remove(p)
}

// remove deletes p and all below it.
func (x *extractor) remove(p string) error {
	delete(x.made, p)
	return x.root.RemoveAll(p)
}

func (x *extractor) folder(e *Entry, base, p string, exists bool) error {
	if !exists {
		if err := unix.Mkdirat(int(x.parent.Fd()), base, 0o700); err != nil {
			return err
		}
	}
	x.folders[p] = &folderMeta{mode: e.Mode, mtime: e.ModTime}
	if err := unix.Fchownat(int(x.parent.Fd()), base, e.UID, e.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set owner %d:%d: %w", e.UID, e.GID, err)
	}
	return setXattrs(x.parent, base, e.Xattrs)
}

func (x *extractor) file(e *Entry, base string) error {
	fd, err := unix.Openat(int(x.parent.Fd()), base,
		unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	if err := copySparse(f, x.archive, e.Size, x.buf); err != nil {
		return err
	}
	// The owner first: changing it clears set-id bits and capabilities.
	if err := f.Chown(e.UID, e.GID); err != nil {
		return fmt.Errorf("set owner %d:%d: %w", e.UID, e.GID, err)
	}
	if err := unix.Fchmod(fd, e.Mode); err != nil {
		return err
	}
	if err := setXattrs(f, "", e.Xattrs); err != nil {
		return err
	}
	if err := setTime(f, "", e.ModTime); err != nil {
		return err
	}
	return f.Close()
}

// copySparse copies size bytes and leaves holes where whole buffers are zero.
func copySparse(f *os.File, r io.Reader, size int64, buf []byte) error {
	var at int64
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 && !allZero(buf[:n]) {
			if _, err := f.WriteAt(buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if atEnd(err) {
			break
		}
		if err != nil {
			return err
		}
	}
	if at != size {
		return archiveErrorf(f.Name(), FaultCorrupt, "%d of %d bytes", at, size)
	}
	return f.Truncate(size)
}

func allZero(p []byte) bool {
	for len(p) >= 8 {
		if p[0]|p[1]|p[2]|p[3]|p[4]|p[5]|p[6]|p[7] != 0 {
			return false
		}
		p = p[8:]
	}
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

func (x *extractor) hardLink(e *Entry, base string) error {
	target, err := resolve(e.Link, x.link)
	if err != nil {
		return archiveErrorf(e.Path, FaultEscape, "hard link: %w", err)
	}
	info, err := x.root.Lstat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return archiveErrorf(e.Path, FaultConflict, "hard link to %q, which is not there", e.Link)
	case err != nil:
		return err
	case info.IsDir() || isWhiteout(info):
		return archiveErrorf(e.Path, FaultConflict, "hard link to %q, which is no file", e.Link)
	}
	from, err := x.root.Open(path.Dir(target))
	if err != nil {
		return err
	}
	defer from.Close()
	return unix.Linkat(int(from.Fd()), path.Base(target), int(x.parent.Fd()), base, 0)
}

func (x *extractor) device(e *Entry, base string) error {
	if e.Type == tar.TypeChar && e.Devmajor == 0 && e.Devminor == 0 {
		return archiveErrorf(e.Path, FaultUnsupported, "character device 0:0 means a whiteout to overlay mounts")
	}
	if e.Devmajor < 0 || e.Devminor < 0 || e.Devmajor > 1<<12-1 || e.Devminor > 1<<20-1 {
		return archiveErrorf(e.Path, FaultCorrupt, "device number %d:%d", e.Devmajor, e.Devminor)
	}
	kind := uint32(unix.S_IFCHR)
	if e.Type == tar.TypeBlock {
		kind = unix.S_IFBLK
	}
	dev := int(unix.Mkdev(uint32(e.Devmajor), uint32(e.Devminor)))
	return unix.Mknodat(int(x.parent.Fd()), base, kind|0o600, dev)
}
