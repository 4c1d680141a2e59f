package filestore

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	reserveFirst = 8 << 20  // bytes, doubled with each step
	reserveMost  = 64 << 20 // bytes at once
	flushStep    = 8 << 20  // bytes
)

// osFile is a temporary file that gets its room on the disk ahead of the
// writing, and whose bytes are on their way there while more come in: then
// the fsync at the end has little left to do. On ext4 the one without the
// other costs more than it brings.
type osFile struct {
	*os.File
	written  int64
	reserved int64
	started  int64 // bytes whose writing has been started
	plain    bool  // the file system has no such thing
}

// Write implements io.Writer.
func (f *osFile) Write(p []byte) (int, error) {
	if need := f.written + int64(len(p)); need > f.reserved && need > largeBuffer && !f.plain {
		f.reserve()
	}
	n, err := f.File.Write(p)
	f.written += int64(n)
	if step := f.written - f.started; step >= flushStep && !f.plain {
		// A hint: what it cannot write the fsync reports.
		_ = unix.SyncFileRange(int(f.Fd()), f.started, step, unix.SYNC_FILE_RANGE_WRITE)
		f.started = f.written
	}
	return n, err
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
