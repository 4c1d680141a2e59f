package layers

import (
	"archive/tar"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// inode identifies a file of the host.
type inode struct{ dev, ino uint64 }

// found is one file of a tree on disk.
type found struct {
	entry    Entry
	overlay  map[string]string // overlay's own marks, without their prefix
	whiteout bool              // nothing is there, whatever lies below
	id       inode
	links    uint64
	modTime  time.Time
}

func (f *found) opaque() bool { return f.overlay["opaque"] == "y" }

// examine turns the file at root/p into an entry, without content and time. A
// socket gives nil.
func examine(root, p string, info fs.FileInfo) (*found, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, entryErrorf(p, "no owner is known on this system")
	}
	f := &found{id: inode{uint64(st.Dev), st.Ino}, links: uint64(st.Nlink), modTime: info.ModTime(), whiteout: isWhiteout(info)}
	e := &f.entry
	e.Path, e.Mode, e.UID, e.GID = p, st.Mode&modeBits, int(st.Uid), int(st.Gid)
	host := filepath.Join(root, filepath.FromSlash(p))
	var err error
	switch info.Mode().Type() {
	case 0:
		e.Type, e.Size = tar.TypeReg, info.Size()
		e.Open = opener(host, info)
	case fs.ModeDir:
		e.Type = tar.TypeDir
	case fs.ModeSymlink:
		e.Type, e.Mode = tar.TypeSymlink, 0o777
		e.Link, err = os.Readlink(host)
	case fs.ModeDevice, fs.ModeDevice | fs.ModeCharDevice:
		e.Type = tar.TypeBlock
		if info.Mode()&fs.ModeCharDevice != 0 {
			e.Type = tar.TypeChar
		}
		e.Devmajor, e.Devminor = int64(unix.Major(uint64(st.Rdev))), int64(unix.Minor(uint64(st.Rdev)))
	case fs.ModeNamedPipe:
		e.Type = tar.TypeFifo
	default:
		if !f.whiteout {
			return nil, nil
		}
	}
	if err == nil {
		var all map[string]string
		all, err = readXattrs(host)
		e.Xattrs, f.overlay = splitXattrs(all)
	}
	if err != nil {
		return nil, &EntryError{Path: p, Err: err}
	}
	return f, nil
}

// checkName refuses names that a layer cannot hold.
func checkName(p string) error {
	base := path.Base(p)
	if !utf8.ValidString(base) {
		return entryErrorf(p, "name is not UTF-8: rename it or leave it out")
	}
	if strings.HasPrefix(base, WhiteoutPrefix) {
		return entryErrorf(p, "names that begin with %s are whiteouts: rename it or leave it out", WhiteoutPrefix)
	}
	return nil
}

// opener returns the Open of a file that was seen as info: what it reads is
// the file as it was then, or fails with ErrChanged.
func opener(host string, info fs.FileInfo) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		f, err := os.OpenFile(host, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		w := &watchedFile{file: f, seen: info}
		if err := w.check(); err != nil {
			f.Close()
			return nil, err
		}
		return w, nil
	}
}

// watchedFile is a file that must not change while it is read.
type watchedFile struct {
	file *os.File
	seen fs.FileInfo
}

// Read fails with ErrChanged at the end of a file that is not as it was seen.
func (w *watchedFile) Read(p []byte) (int, error) {
	n, err := w.file.Read(p)
	if err == io.EOF {
		if changed := w.check(); changed != nil {
			return n, changed
		}
	}
	return n, err
}

// Close closes the file.
func (w *watchedFile) Close() error { return w.file.Close() }

func (w *watchedFile) check() error {
	now, err := w.file.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(now, w.seen) || now.Size() != w.seen.Size() || !now.ModTime().Equal(w.seen.ModTime()) {
		return ErrChanged
	}
	return nil
}
