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

// WriteTo implements io.WriterTo. It gives w the file itself, which the kernel
// can send without showing it to anybody.
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

// settled is how long a file must have rested for its times to tell: the
// kernel's clock of files goes in steps.
const settled = 25 * time.Millisecond

// Identity implements store.Identified. A file that was changed just now has
// none.
func (s *section) Identity() any {
	info, err := s.file.Stat()
	if err != nil {
		return nil
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || time.Since(time.Unix(st.Ctim.Unix())) < settled {
		return nil
	}
	return identity{st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim}
}
