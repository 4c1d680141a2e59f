package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// rootKind is how the root file system is made.
type rootKind int

const (
	rootOverlay rootKind = iota
	rootBindWritable
	rootBindReadOnly
)

// rootMounter mounts the root on "root" of the scratch tmpfs, which is the
// working directory.
type rootMounter struct {
	kind   rootKind
	lowers []string // bottom first
	upper  string
	userNS bool
	sealed bool // read-only once the mount points are made
}

func newRootMounter(o order) *rootMounter {
	r := o.Spec.Root
	m := &rootMounter{lowers: slices.Clone(r.Lowers), upper: r.Upper, userNS: o.UserNS}
	if o.Copied {
		m.kind, m.sealed = rootBindWritable, r.ReadOnly
		return m
	}
	if r.ReadOnly && r.Upper != "" {
		m.lowers, m.upper = append(m.lowers, r.Upper), ""
	}
	switch {
	case len(m.lowers) == 0:
		m.kind = rootBindWritable
	case len(m.lowers) == 1 && m.upper == "":
		m.kind = rootBindReadOnly
	}
	return m
}

// enterScratch mounts a tmpfs and makes it the working directory. It lies on
// top of "/", where it hides nothing: lookups start below it.
func enterScratch(r Root) error {
	fd, err := newFS("tmpfs", "mode", "700")
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := attach(fd, "/"); err != nil {
		return err
	}
	if err := unix.Fchdir(fd); err != nil {
		return err
	}
	for _, dir := range []string{"root", "points"} {
		if err := unix.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	// Short names for the layers: mount options are one page, and this way any
	// number of layers at any path fits.
	if r.Work != "" {
		if err := unix.Symlink(r.Work, "work"); err != nil {
			return err
		}
	}
	return nil
}

// link gives the layers short names in the scratch directory.
func (m *rootMounter) link() error {
	for i, l := range m.lowers {
		if err := unix.Symlink(l, strconv.Itoa(i)); err != nil {
			return err
		}
	}
	if m.upper != "" {
		return unix.Symlink(m.upper, "upper")
	}
	return nil
}

// mount mounts the root; with points, the scratch directory of that name is the
// lowest layer.
func (m *rootMounter) mount(points bool) error {
	var err error
	switch m.kind {
	case rootBindWritable:
		err = bindTo(m.upper, "root", unix.MOUNT_ATTR_NODEV)
	case rootBindReadOnly:
		err = bindTo(m.lowers[0], "root", unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_RDONLY)
	default:
		err = unix.Mount("overlay", "root", "overlay", unix.MS_NODEV, m.options(points))
	}
	if err != nil {
		return &SetupError{Step: stepMountRoot, Err: m.explain(err)}
	}
	return unix.Chdir(".")
}

// stepMountRoot is the step that fails where there is no overlayfs.
const stepMountRoot = "mount root"

// seal makes the root read-only, if it waited for its mount points only.
func (m *rootMounter) seal() error {
	if !m.sealed {
		return nil
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	return unix.MountSetattr(unix.AT_FDCWD, "root", 0, &attr)
}

// options are overlayfs' mount options. Everything that makes a diff more than
// files and whiteouts is off.
func (m *rootMounter) options(points bool) string {
	var names []string
	for i := len(m.lowers) - 1; i >= 0; i-- {
		names = append(names, strconv.Itoa(i))
	}
	if points {
		names = append(names, "points")
	}
	o := "lowerdir=" + strings.Join(names, ":")
	if m.upper != "" {
		o += ",upperdir=upper,workdir=work"
	}
	o += ",index=off,xino=off"
	if m.userNS {
		return o + ",userxattr" // implies the next two
	}
	return o + ",metacopy=off,redirect_dir=nofollow"
}

// explain says which directory is missing, where the kernel only says ENOENT.
func (m *rootMounter) explain(err error) error {
	for _, d := range append(slices.Clone(m.lowers), m.upper) {
		if st, statErr := os.Stat(d); d != "" && statErr != nil {
			return statErr
		} else if d != "" && !st.IsDir() {
			return fmt.Errorf("%s is not a directory", d)
		}
	}
	switch {
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: the kernel has no overlayfs (modprobe overlay)", err)
	case errors.Is(err, unix.EINVAL) && m.upper != "":
		return fmt.Errorf("%w: overlayfs cannot write to the file system of %s, or work is not on it", err, m.upper)
	}
	return err
}

// addPoints makes the mount points that the root lacks: in a lowest layer of
// their own, or, where there are no layers, in place, to be removed afterwards.
func (m *rootMounter) addPoints(missing []point) (made []string, err error) {
	if len(missing) == 0 {
		return nil, nil
	}
	if m.kind == rootBindWritable {
		root, err := os.OpenRoot("root")
		if err != nil {
			return nil, err
		}
		defer root.Close()
		for _, pt := range missing {
			more, err := pt.make(root)
			made = append(made, more...)
			if err != nil {
				return made, err
			}
		}
		return made, nil
	}
	if err := unix.Unmount("root", unix.MNT_DETACH); err != nil {
		return nil, err
	}
	points, err := os.OpenRoot("points")
	if err != nil {
		return nil, err
	}
	defer points.Close()
	for _, pt := range missing {
		if _, err := pt.make(points); err != nil {
			return nil, err
		}
	}
	m.kind = rootOverlay
	return nil, m.mount(true)
}

// point is a mount point that the root lacks.
type point struct {
	path string // relative, its parents resolved inside the root
	file bool
}

// make makes the point and its parents below root, and says what it made.
func (pt point) make(root *os.Root) (made []string, err error) {
	parts := strings.Split(pt.path, "/")
	for i := range parts {
		name := strings.Join(parts[:i+1], "/")
		mode := os.FileMode(0o755)
		if filepath.Base(name) == "tmp" {
			mode = 0o777 | os.ModeSticky
		}
		if i == len(parts)-1 && pt.file {
			f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
			if err != nil {
				return made, fmt.Errorf("make mount point /%s: %w", pt.path, err)
			}
			f.Close()
		} else if err := root.Mkdir(name, 0o755); errors.Is(err, os.ErrExist) {
			continue
		} else if err != nil {
			return made, fmt.Errorf("make mount point /%s: %w", pt.path, err)
		} else if err := root.Chmod(name, mode); err != nil {
			return made, err
		}
		made = append(made, name)
	}
	return made, nil
}
