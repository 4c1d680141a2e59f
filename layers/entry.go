package layers

import (
	"archive/tar"
	"errors"
	"io"
	"path"
	"strings"
	"time"
	"unicode/utf8"
)

// The names by which a layer removes what lies below it (OCI image layer
// specification).
const (
	WhiteoutPrefix = ".wh."
	OpaqueName     = ".wh..wh..opq"
)

// Epoch is the time of files and folders that have no better one:
// 1980-01-01T00:00:00Z, the first that zip archives can hold.
func Epoch() time.Time { return time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) }

// The permission bits of Entry.Mode and Node.Mode beyond 0777.
const (
	ModeSetuid = 0o4000
	ModeSetgid = 0o2000
	ModeSticky = 0o1000
	modeBits   = 0o7777
)

// Entry is one path of a layer.
type Entry struct {
	// Path is relative to the image's root, clean, with slashes, and without a
	// leading or trailing one: "usr/bin/env".
	Path string
	// Type is a type flag of archive/tar: TypeReg, TypeDir, TypeSymlink,
	// TypeLink (hard link), TypeChar, TypeBlock or TypeFifo.
	Type byte
	// Mode holds the POSIX permission bits, 07777, set-id bits included.
	Mode     uint32
	UID, GID int
	// Size is that of a regular file's content in bytes.
	Size int64
	// Link is the text of a symlink, or the path of the hard link's target,
	// which must be another entry of the same layer.
	Link               string
	Devmajor, Devminor int64
	// ModTime is cut to whole seconds.
	ModTime time.Time
	// Xattrs maps names of extended attributes to their raw values.
	Xattrs map[string]string
	// Digest of a regular file's content, "sha256:…", where it is known: what Open
	// gives is held against it.
	Digest string
	// Open returns a regular file's content, exactly Size bytes.
	Open func() (io.ReadCloser, error)
}

// CheckPath returns an error unless p can be the path of an entry: relative,
// clean, UTF-8, without NUL, not the root itself.
func CheckPath(p string) error {
	switch {
	case p == "" || p == ".":
		return errors.New("empty path")
	case !utf8.ValidString(p):
		return errors.New("name is not UTF-8")
	case strings.IndexByte(p, 0) >= 0:
		return errors.New("name holds a NUL byte")
	case strings.HasPrefix(p, "/"):
		return errors.New("absolute path")
	case p == ".." || strings.HasPrefix(p, "../") || path.Clean(p) != p:
		return errors.New("path is not clean")
	}
	return nil
}

// check returns what is wrong with the entry by itself.
func (e *Entry) check() error {
	if err := CheckPath(e.Path); err != nil {
		return &EntryError{Path: e.Path, Err: err}
	}
	switch {
	case e.Mode&^modeBits != 0:
		return entryErrorf(e.Path, "mode %o has more than permission bits", e.Mode)
	case e.UID < 0 || e.GID < 0:
		return entryErrorf(e.Path, "negative owner %d:%d", e.UID, e.GID)
	case strings.HasPrefix(path.Base(e.Path), WhiteoutPrefix) && (e.Type != tar.TypeReg || e.Size != 0):
		return entryErrorf(e.Path, "names that begin with %s are whiteouts: rename it", WhiteoutPrefix)
	}
	return e.checkType()
}

func (e *Entry) checkType() error {
	if e.Type != tar.TypeReg && e.Size != 0 {
		return entryErrorf(e.Path, "size %d on an entry without content", e.Size)
	}
	switch e.Type {
	case tar.TypeReg:
		if e.Size < 0 || (e.Size > 0 && e.Open == nil) {
			return entryErrorf(e.Path, "no content for %d bytes", e.Size)
		}
	case tar.TypeSymlink:
		if e.Link == "" || !utf8.ValidString(e.Link) || strings.IndexByte(e.Link, 0) >= 0 {
			return entryErrorf(e.Path, "link target %q is empty or not UTF-8", e.Link)
		}
	case tar.TypeLink:
		if err := CheckPath(e.Link); err != nil {
			return entryErrorf(e.Path, "hard link target %q: %v", e.Link, err)
		}
	case tar.TypeDir, tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
	default:
		return entryErrorf(e.Path, "entry type %q is not supported", e.Type)
	}
	return nil
}
