package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountAll makes the sandbox's mounts and leaves the host's behind. What comes
// from the host is taken hold of first; after the change of root only names
// inside the root are looked up, so no symlink of it leads anywhere else.
func (p *firstProcess) mountAll() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	outside, err := p.openOutside()
	if err != nil {
		return err
	}
	if err := enterScratch(p.Spec.Root); err != nil {
		return fmt.Errorf("scratch: %w", err)
	}
	root := newRootMounter(p.order)
	if err := root.link(); err != nil {
		return fmt.Errorf("scratch: %w", err)
	}
	if err := root.mount(false); err != nil {
		return err
	}
	missing, err := missingPoints("root", outside.targets())
	if err != nil {
		return err
	}
	p.made, err = root.addPoints(missing)
	if len(p.made) > 0 {
		p.reports.Encode(report{Made: p.made})
	}
	if err != nil {
		return err
	}
	if err := root.seal(); err != nil {
		return fmt.Errorf("seal root: %w", err)
	}
	if err := pivot(); err != nil {
		return err
	}
	return p.mountInside(outside)
}

// pivot makes "root" the root and forgets the old one. On the new root lies the
// old one, and on that the scratch tmpfs; an unmount takes the topmost.
func pivot() error {
	if err := unix.Chdir("root"); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	for _, name := range []string{"scratch", "old root"} {
		if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
			return fmt.Errorf("leave the %s: %w", name, err)
		}
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	return verifyRoot()
}

// verifyRoot makes sure that nothing is left on top of the root, where ".."
// would lead to it.
func verifyRoot() error {
	var root, up unix.Statx_t
	for name, st := range map[string]*unix.Statx_t{"/": &root, "/..": &up} {
		if err := unix.Statx(unix.AT_FDCWD, name, 0, unix.STATX_MNT_ID|unix.STATX_INO, st); err != nil {
			return err
		}
	}
	if root.Mnt_id != up.Mnt_id || root.Ino != up.Ino || root.Mask&unix.STATX_MNT_ID == 0 {
		return errors.New("the old root can still be reached")
	}
	return nil
}

// held is a mount that waits for its place.
type held struct {
	target string
	fd     int // -1: a tmpfs, made when its turn comes
	file   bool
}

// outside is everything the sandbox takes from the host.
type outside struct {
	proc    int
	devices []held
	mounts  []held
}

func (p *firstProcess) openOutside() (*outside, error) {
	var o outside
	var err error
	// A user namespace may mount proc only while it can see one already.
	if o.proc, err = newFS("proc"); err != nil {
		return nil, err
	}
	if o.devices, err = openDevices(p.UserNS); err != nil {
		return nil, err
	}
	if p.Spec.Network == NetworkHost {
		if err := o.hold("/etc/resolv.conf", "/etc/resolv.conf", true); err != nil && !errors.Is(err, unix.ENOENT) {
			return nil, err
		}
	}
	for _, m := range p.Spec.Mounts {
		if m.Type == "tmpfs" {
			o.mounts = append(o.mounts, held{target: m.Target, fd: -1})
		} else if err := o.hold(m.Source, m.Target, m.ReadOnly); err != nil {
			return nil, err
		}
	}
	return &o, nil
}

// hold takes a file or directory of the host for target.
func (o *outside) hold(source, target string, readOnly bool) error {
	attrs := uint64(unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOSUID)
	if readOnly {
		attrs |= unix.MOUNT_ATTR_RDONLY
	}
	resolved, err := filepath.EvalSymlinks(source)
	if err != nil {
		return fmt.Errorf("mount source: %w", err)
	}
	fd, err := clone(resolved, attrs)
	if err != nil {
		return err
	}
	dir, err := isDir(fd)
	if err != nil {
		return err
	}
	o.mounts = append(o.mounts, held{target, fd, !dir})
	return nil
}

// targets are the mount points that the root itself must have; those below
// another mount are not among them.
func (o *outside) targets() []held {
	all := []held{{target: "/proc"}, {target: "/dev"}}
	for _, m := range o.mounts {
		inside := false
		for _, a := range all {
			inside = inside || strings.HasPrefix(m.target, a.target+"/")
		}
		if !inside {
			all = append(all, m)
		}
	}
	return all
}

func (p *firstProcess) mountInside(o *outside) error {
	for _, name := range []string{"/proc", "/dev"} {
		if st, err := os.Lstat(name); err != nil || !st.IsDir() {
			return fmt.Errorf("%s of the root is not a directory", name)
		}
	}
	if err := attach(o.proc, "/proc"); err != nil {
		return err
	}
	if err := p.limitProcesses(); err != nil {
		return err
	}
	if err := mountDev(o.devices); err != nil {
		return err
	}
	if err := maskProc(); err != nil {
		return err
	}
	for _, m := range o.mounts {
		if err := p.mountOne(m); err != nil {
			return err
		}
	}
	return nil
}

func (p *firstProcess) mountOne(m held) error {
	st, err := os.Stat(m.target)
	if os.IsNotExist(err) {
		// The root itself has all its points, so this one is below a mount of
		// ours; or it is a symlink to nowhere, which a file can hide.
		if err := p.pointInMount(m); err != nil {
			return err
		}
		st, err = os.Lstat(m.target)
	}
	if err != nil {
		return fmt.Errorf("mount point %s: %w", m.target, err)
	}
	if m.fd >= 0 {
		defer unix.Close(m.fd)
		if st.Mode()&os.ModeSymlink != 0 {
			return attach(m.fd, m.target)
		}
		return attachFollow(m.fd, m.target)
	}
	options := []string{"mode", "755", "size", strconv.FormatInt(p.Spec.Limits.TmpfsBytes, 10)}
	if st.IsDir() {
		mode := st.Mode().Perm()
		if st.Mode()&os.ModeSticky != 0 {
			mode |= 0o1000
		}
		options[1] = strconv.FormatUint(uint64(mode), 8)
	}
	fd, err := newFS("tmpfs", options...)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := addAttrs(fd, unix.MOUNT_ATTR_NODEV); err != nil {
		return err
	}
	return attachFollow(fd, m.target)
}

// pointInMount makes a mount point inside a tmpfs of ours.
func (p *firstProcess) pointInMount(m held) error {
	if st, err := os.Lstat(m.target); err == nil && st.Mode()&os.ModeSymlink != 0 && m.file {
		return nil
	}
	for _, other := range p.Spec.Mounts {
		if other.Type != "tmpfs" || !strings.HasPrefix(m.target, other.Target+"/") {
			continue
		}
		if !m.file {
			return os.MkdirAll(m.target, 0o755)
		}
		if err := os.MkdirAll(filepath.Dir(m.target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(m.target, nil, 0o644)
	}
	return fmt.Errorf("mount point %s does not exist in the mount that it lies in", m.target)
}
