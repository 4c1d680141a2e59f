package filestore

import (
	"io"
	"os"
	"syscall"
	"time"

	"kiln/registry/store"
)

// section reads a part of an object.
type section struct {
	*io.SectionReader
	file *os.File
}

var _ store.Identified = (*section)(nil)

func (s *section) Close() error { return s.file.Close() }

// WriteTo implements io.WriterTo. It gives w the file itself, to send as it
// knows best.
func (s *section) WriteTo(w io.Writer) (int64, error) {
	to, ok := w.(io.ReaderFrom)
	if !ok {
		return io.Copy(w, struct{ io.Reader }{s.SectionReader})
	}
	at, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	_, offset, length := s.Outer()
	if _, err := s.file.Seek(offset+at, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := to.ReadFrom(&io.LimitedReader{R: s.file, N: length - at})
	if err == nil && n < length-at {
		err = io.ErrUnexpectedEOF
	}
	if _, seekErr := s.Seek(at+n, io.SeekStart); err == nil {
		err = seekErr
	}
	return n, err
}

// identity is what changes when someone writes to a file, or puts another in
// its place.
type identity struct {
	dev, ino      uint64
	size          int64
	mtime, change syscall.Timespec
}

// How long a file must have rested for its times to tell: the kernel's clock of
// files goes in steps, and some file systems keep seconds or two of them (ext4
// with inodes of 128 bytes, FAT).
const (
	settled       = 25 * time.Millisecond
	settledCoarse = 3 * time.Second
	coarse        = 10 * time.Millisecond // what coarse times are multiples of
)

// rested tells whether a later change would show in the time of the last one.
func rested(change, now time.Time) bool {
	if change.Nanosecond()%int(coarse) == 0 {
		return now.Sub(change) >= settledCoarse
	}
	return now.Sub(change) >= settled
}

// Identity implements store.Identified. A file that was changed just now has
// none.
func (s *section) Identity() any {
	info, err := s.file.Stat()
	if err != nil {
		return nil
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !rested(time.Unix(st.Ctim.Unix()), time.Now()) {
		return nil
	}
	return identity{st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim}
}
