package layers

import (
	"archive/tar"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// setMeta gives a new symlink, fifo or device its owner, permissions,
// attributes and time.
func (x *extractor) setMeta(e *Entry, base string) error {
	dir := int(x.parent.Fd())
	if err := unix.Fchownat(dir, base, e.UID, e.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set owner %d:%d: %w", e.UID, e.GID, err)
	}
	if e.Type != tar.TypeSymlink {
		if err := unix.Fchmodat(dir, base, e.Mode, 0); err != nil {
			return err
		}
	}
	if err := setXattrs(x.parent, base, e.Xattrs); err != nil {
		return err
	}
	return setTime(x.parent, base, e.ModTime)
}

// setXattrs sets those attributes that layers hold on the name base in the
// folder f, or on f itself when base is empty.
func setXattrs(f *os.File, base string, xattrs map[string]string) error {
	for name, value := range xattrs {
		if !keptXattr(name) {
			continue
		}
		if err := setXattr(f, base, name, value); err != nil {
			return fmt.Errorf("set attribute %s: %w", name, err)
		}
	}
	return nil
}

func setXattr(f *os.File, base, name, value string) error {
	if base == "" {
		return unix.Fsetxattr(int(f.Fd()), name, []byte(value), 0)
	}
	// There is no lsetxattrat before Linux 6.13.
	return unix.Lsetxattr(fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), base), name, []byte(value), 0)
}

// setTime sets access and modification time alike.
func setTime(f *os.File, base string, t time.Time) error {
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		return err
	}
	if base == "" {
		return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), []unix.Timespec{ts, ts}, 0)
	}
	return unix.UtimesNanoAt(int(f.Fd()), base, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}
