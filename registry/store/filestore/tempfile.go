package filestore

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	reserveFirst = 2 << 20  // bytes, doubled with each step
	reserveMost  = 64 << 20 // bytes at once
	flushStep    = 8 << 20  // bytes
	block        = 4 << 10  // bytes, that of nearly all disks
)

// osFile is a temporary file that gets its room on the disk ahead of the
// writing. What is larger than a small buffer goes past the page cache
// (O_DIRECT), which spares a copy into memory that is fresh, and leaves the
// cache to what is read. Where a file system has no such thing, the bytes are
// on their way to the disk while more come in. So or so the fsync at the end
// has little left to do.
type osFile struct {
	*os.File
	written  int64
	reserved int64
	started  int64 // bytes whose writing has been started
	plain    bool  // the file system reserves nothing
	direct   bool  // O_DIRECT is on
	buffered bool  // and never again
}

// Write implements io.Writer.
func (f *osFile) Write(p []byte) (int, error) {
	if need := f.written + int64(len(p)); need > f.reserved && f.written > 0 && need > smallBuffer && !f.plain {
		f.reserve()
	}
	whole := f.straight(p)
	n, err := f.File.Write(p[:whole])
	if errors.Is(err, unix.EINVAL) && f.direct { // of larger blocks, or not at all
		whole, err = n, nil
	}
	if err == nil && whole < len(p) {
		f.indirect()
		var rest int
		rest, err = f.File.Write(p[whole:])
		n += rest
	}
	f.written += int64(n)
	if step := f.written - f.started; step >= flushStep && !f.plain && !f.direct {
		// A hint: what it cannot write the fsync reports.
		_ = unix.SyncFileRange(int(f.Fd()), f.started, step, unix.SYNC_FILE_RANGE_WRITE)
		f.started = f.written
	}
	return n, err
}

// straight is how much of p can go past the page cache, or all of it where
// that is not the way: whole blocks, as long as nothing else came before.
func (f *osFile) straight(p []byte) int {
	if f.buffered || len(p) == 0 {
		return len(p)
	}
	if len(p) < smallBuffer && !f.direct || uintptr(unsafe.Pointer(&p[0]))%block != 0 {
		f.indirect()
		return len(p)
	}
	if !f.direct && f.flag(unix.O_DIRECT, true) != nil {
		f.buffered = true
		return len(p)
	}
	f.direct = true
	return len(p) / block * block
}

// indirect writes through the page cache from now on.
func (f *osFile) indirect() {
	if f.direct && f.flag(unix.O_DIRECT, false) == nil {
		f.direct = false
	}
	f.buffered = true
}

func (f *osFile) flag(flag int, on bool) error {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	flags &^= flag
	if on {
		flags |= flag
	}
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETFL, flags)
	return err
}

// reserve takes room behind what is there. Where that is refused the writing
// goes on without it, and says itself when the disk is full.
func (f *osFile) reserve() {
	from := max(f.written, f.reserved)
	step := min(max(f.reserved, reserveFirst), reserveMost)
	if unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, from, step) != nil {
		f.plain = true
		return
	}
	f.reserved = from + step
}

// Trim implements tempFile.
func (f *osFile) Trim() error {
	if f.reserved <= f.written {
		return nil
	}
	if err := f.Truncate(f.written); err != nil {
		return err
	}
	f.reserved = f.written
	return nil
}

// Sync trims and fsyncs.
func (f *osFile) Sync() error {
	if err := f.Trim(); err != nil {
		return err
	}
	return f.File.Sync()
}
