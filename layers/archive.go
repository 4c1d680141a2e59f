package layers

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"
)

// Limits bound what reading a stranger's archive may cost. Zero fields mean
// the defaults.
type Limits struct {
	Entries int64 // paths; default 4 million
	Bytes   int64 // of the uncompressed tar stream, content included; default 64 GiB
	Path    int   // bytes of a path or link text; default 4096
	Xattrs  int   // bytes of one entry's extended attributes; default 256 KiB
}

func (l Limits) withDefaults() Limits {
	if l.Entries == 0 {
		l.Entries = 4_000_000
	}
	if l.Bytes == 0 {
		l.Bytes = 64 << 30
	}
	if l.Path == 0 {
		l.Path = 4096
	}
	if l.Xattrs == 0 {
		l.Xattrs = 256 << 10
	}
	return l
}

// archiveReader reads the entries of a tar stream, checking each and counting
// against the limits. Headers themselves are bounded by archive/tar (1 MiB of
// extended records).
type archiveReader struct {
	tar    *tar.Reader
	in     *limitedReader
	limits Limits
	count  int64
	name   string
}

func newArchiveReader(ctx context.Context, r io.Reader, limits Limits) *archiveReader {
	limits = limits.withDefaults()
	in := &limitedReader{ctx: ctx, r: r, left: limits.Bytes}
	return &archiveReader{tar: tar.NewReader(in), in: in, limits: limits}
}

// next returns the next entry. The root itself has the path ".". At the end of
// the archive it reads the stream to its end and returns io.EOF.
func (a *archiveReader) next() (*Entry, error) {
	for {
		h, err := a.tar.Next()
		if err == io.EOF {
			a.name = ""
			if _, err := io.Copy(io.Discard, a.in); err != nil {
				return nil, a.wrap(err)
			}
			return nil, io.EOF
		}
		if err != nil {
			return nil, a.wrap(err)
		}
		a.name = h.Name
		if a.count++; a.count > a.limits.Entries {
			return nil, archiveErrorf(h.Name, FaultLimit, "more than %d entries", a.limits.Entries)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		return a.entry(h)
	}
}

// Read reads the current entry's content.
func (a *archiveReader) Read(p []byte) (int, error) {
	n, err := a.tar.Read(p)
	if err != nil && err != io.EOF {
		err = a.wrap(err)
	}
	return n, err
}

// wrap turns a reading error into an *ArchiveError, unless it is one, or is
// the context's or the source's own.
func (a *archiveReader) wrap(err error) error {
	if a.in.err != nil {
		return a.in.err
	}
	return &ArchiveError{Path: a.name, Fault: FaultCorrupt, Err: err}
}

func (a *archiveReader) entry(h *tar.Header) (*Entry, error) {
	p, err := a.path(h.Name)
	if err != nil {
		return nil, err
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return nil, archiveErrorf(h.Name, FaultUnsupported, "sparse entries are not supported")
		}
	}
	e := &Entry{
		Path: p, Type: h.Typeflag, Mode: uint32(h.Mode) & modeBits, UID: h.Uid, GID: h.Gid,
		Size: h.Size, Link: h.Linkname, Devmajor: h.Devmajor, Devminor: h.Devminor,
		ModTime: h.ModTime, Xattrs: headerXattrs(h),
	}
	size := 0
	for name, value := range e.Xattrs {
		size += len(name) + len(value)
	}
	if size > a.limits.Xattrs {
		return nil, archiveErrorf(h.Name, FaultLimit, "extended attributes of more than %d bytes", a.limits.Xattrs)
	}
	if err := a.checkType(h, e); err != nil {
		return nil, err
	}
	return e, nil
}

// path cleans the name of an entry: "./a/" is "a", the root is ".".
func (a *archiveReader) path(name string) (string, error) {
	switch {
	case name == "" || !utf8.ValidString(name) || strings.IndexByte(name, 0) >= 0:
		return "", archiveErrorf(name, FaultPath, "name is empty, not UTF-8 or holds a NUL byte")
	case len(name) > a.limits.Path:
		return "", archiveErrorf(name[:64]+"…", FaultLimit, "name of %d bytes, more than %d", len(name), a.limits.Path)
	case strings.HasPrefix(name, "/"):
		return "", archiveErrorf(name, FaultPath, "absolute path")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", archiveErrorf(name, FaultPath, "path with ..")
		}
		if len(part) > 255 {
			return "", archiveErrorf(name[:64]+"…", FaultPath, "a name of more than 255 bytes")
		}
	}
	return path.Clean(name), nil
}

func (a *archiveReader) checkType(h *tar.Header, e *Entry) error {
	if e.UID < 0 || e.GID < 0 {
		return archiveErrorf(h.Name, FaultCorrupt, "negative owner")
	}
	if e.Path == "." && e.Type != tar.TypeDir {
		return archiveErrorf(h.Name, FaultPath, "the root is no folder")
	}
	switch e.Type {
	case tar.TypeReg:
		return nil
	case tar.TypeCont:
		e.Type = tar.TypeReg
	case tar.TypeSymlink:
		if e.Link == "" || len(e.Link) > a.limits.Path || strings.IndexByte(e.Link, 0) >= 0 {
			return archiveErrorf(h.Name, FaultPath, "link text is empty or too long")
		}
	case tar.TypeLink:
		target, err := a.path(e.Link)
		if err != nil || target == "." {
			return archiveErrorf(h.Name, FaultEscape, "hard link to %.64q", e.Link)
		}
		e.Link = target
	case tar.TypeDir, tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
	default:
		return archiveErrorf(h.Name, FaultUnsupported, "entry type %q is not supported", e.Type)
	}
	if e.Type != tar.TypeReg {
		e.Size = 0
	}
	return nil
}

// limitedReader fails when its context ends or more than left bytes come. It
// remembers errors that are not the archive's.
type limitedReader struct {
	ctx  context.Context
	r    io.Reader
	left int64
	err  error
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		l.err = err
		return 0, err
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		l.err = &ArchiveError{Fault: FaultLimit, Err: fmt.Errorf("more bytes than allowed")}
		return 0, l.err
	}
	if err != nil && err != io.EOF {
		l.err = fmt.Errorf("read archive: %w", err)
		return n, l.err
	}
	return n, err
}
