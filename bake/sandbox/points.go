package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// missingPoints are those targets that do not exist below root, a directory
// that holds the mounted root. Symlinks are followed inside it.
func missingPoints(root string, targets []held) ([]point, error) {
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var missing []point
	for _, t := range targets {
		resolved, found, err := resolveIn(fd, t.target)
		if err != nil {
			return nil, fmt.Errorf("mount point %s: %w", t.target, err)
		}
		if !found {
			missing = append(missing, point{resolved, t.file})
		}
	}
	return missing, nil
}

// resolveIn looks up name below root without ever leaving it. When it does not
// exist, resolved is the path that would have to be made: the nearest existing
// parent, symlinks resolved, and the rest. A symlink to nowhere counts as found:
// nothing can be made in its place.
func resolveIn(root int, name string) (resolved string, found bool, err error) {
	rest := ""
	for {
		how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
		fd, err := openIn(root, name, how)
		if err == nil {
			defer unix.Close(fd)
			dir, err := pathIn(root, fd)
			return path.Join(dir, rest), rest == "", err
		}
		if !errors.Is(err, unix.ENOENT) {
			return "", false, err
		}
		how.Flags |= unix.O_NOFOLLOW
		if fd, err := openIn(root, name, how); err == nil {
			unix.Close(fd)
			if rest == "" {
				return "", true, nil
			}
			return "", false, fmt.Errorf("%s is a symlink to nowhere", name)
		}
		rest = path.Join(path.Base(name), rest)
		name = path.Dir(name)
	}
}

// openIn is openat2, tried again as long as a mount or rename anywhere on the
// machine keeps the kernel from being sure about a "..".
func openIn(root int, name string, how *unix.OpenHow) (fd int, err error) {
	for range 10000 {
		fd, err = unix.Openat2(root, name, how)
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return fd, err
}

// pathIn is the path of fd relative to the directory root.
func pathIn(root, fd int) (string, error) {
	base, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(root))
	if err != nil {
		return "", err
	}
	full, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return "", err
	}
	if full != base && !strings.HasPrefix(full, base+"/") {
		return "", errors.New("lies outside of the root")
	}
	return strings.TrimPrefix(strings.TrimPrefix(full, base), "/"), nil
}
