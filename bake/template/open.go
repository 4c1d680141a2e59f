package template

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ErrChanged is the cause when a file is not the one that Files saw.
var ErrChanged = errors.New("changed while it was read")

// Open reads a regular file. It never follows a symlink that took the file's
// place, and reading ends in ErrChanged, not in io.EOF, when the file is
// another one, or has another size or time, than when it was listed.
func (f File) Open() (io.ReadCloser, error) {
	file, err := os.OpenFile(f.Abs, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, unix.ELOOP) || errors.Is(err, fs.ErrNotExist) {
			err = ErrChanged
		}
		return nil, fmt.Errorf("copy %q: %w", f.Abs, cause(err))
	}
	r := &checked{file: file, want: f}
	if err := r.check(); err != nil {
		file.Close()
		return nil, err
	}
	return r, nil
}

// checked reads a file and looks at it again at its end.
type checked struct {
	file *os.File
	want File
}

func (r *checked) Read(p []byte) (int, error) {
	n, err := r.file.Read(p)
	if err == io.EOF {
		if changed := r.check(); changed != nil {
			return n, changed
		}
	}
	return n, err
}

func (r *checked) Close() error { return r.file.Close() }

func (r *checked) check() error {
	now, err := r.file.Stat()
	if err != nil {
		return fmt.Errorf("copy %q: %w", r.want.Abs, cause(err))
	}
	was := r.want.Info
	if !os.SameFile(was, now) || was.Size() != now.Size() || !was.ModTime().Equal(now.ModTime()) || was.Mode() != now.Mode() {
		return fmt.Errorf("copy %q: %w", r.want.Abs, ErrChanged)
	}
	return nil
}
