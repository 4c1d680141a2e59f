package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// newFS makes a new file system that is not attached anywhere yet; options are
// pairs of key and value.
func newFS(kind string, options ...string) (int, error) {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("new %s: %w", kind, err)
	}
	defer unix.Close(fs)
	for i := 0; i+1 < len(options); i += 2 {
		if err := unix.FsconfigSetString(fs, options[i], options[i+1]); err != nil {
			return -1, fmt.Errorf("new %s: option %s=%s: %w", kind, options[i], options[i+1], err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("new %s: %w", kind, err)
	}
	attrs := unix.MOUNT_ATTR_NOSUID
	if kind != "tmpfs" {
		attrs |= unix.MOUNT_ATTR_NOEXEC
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attrs)
	if err != nil {
		return -1, fmt.Errorf("new %s: %w", kind, err)
	}
	return fd, nil
}

// clone is a copy of the mount that path lies in, with path as its root, with
// the attributes added; not attached anywhere yet.
func clone(path string, attrs uint64) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	if attrs != 0 {
		if err := addAttrs(fd, attrs); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("set mount attributes of %s: %w", path, err)
		}
	}
	return fd, nil
}

func addAttrs(fd int, attrs uint64) error {
	return unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: attrs})
}

// attach mounts what fd holds on target itself, also when that is a symlink.
func attach(fd int, target string) error {
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount on %s: %w", target, err)
	}
	return nil
}

// attachFollow is attach, but follows symlinks of target.
func attachFollow(fd int, target string) error {
	flags := unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_SYMLINKS
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, target, flags); err != nil {
		return fmt.Errorf("mount on %s: %w", target, err)
	}
	return nil
}

// bindTo binds source on target.
func bindTo(source, target string, attrs uint64) error {
	fd, err := clone(source, attrs)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return attach(fd, target)
}

// isDir tells whether what fd holds is a directory.
func isDir(fd int) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, err
	}
	return st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}
