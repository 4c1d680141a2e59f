package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// copied is a copy of layers and what it was like when it was made: enough to
// find out afterwards what a command did to it.
type copied struct {
	root string
	seen map[string]imprint // by path; "." is the root
}

// imprint tells a file from any that takes its place, and from itself once it
// is changed.
type imprint struct {
	inode   uint64
	born    unix.StatxTimestamp
	changed unix.StatxTimestamp // of all but folders
	meta    string              // of folders
	dir     bool
}

// imprintOf looks at one file without following it.
func imprintOf(file string) (imprint, error) {
	var st unix.Statx_t
	const mask = unix.STATX_TYPE | unix.STATX_MODE | unix.STATX_UID | unix.STATX_GID | unix.STATX_INO | unix.STATX_CTIME | unix.STATX_BTIME
	if err := unix.Statx(unix.AT_FDCWD, file, unix.AT_SYMLINK_NOFOLLOW, mask, &st); err != nil {
		return imprint{}, &fs.PathError{Op: "statx", Path: file, Err: err}
	}
	id := imprint{inode: st.Ino, born: st.Btime, dir: st.Mode&unix.S_IFMT == unix.S_IFDIR}
	if !id.dir {
		id.changed = st.Ctime
		return id, nil
	}
	attrs, err := xattrsOf(file)
	if err != nil {
		return id, err
	}
	id.meta = fmt.Sprintf("%o %d %d %q", st.Mode, st.Uid, st.Gid, attrs)
	return id, nil
}

// replaces tells whether a folder took the place of another.
func (id imprint) replaces(old imprint) bool {
	return !old.dir || id.inode != old.inode || id.born != old.born
}

// note remembers the copy as it is now.
func (f *flattener) note() (*copied, error) {
	c := &copied{root: f.target, seen: map[string]imprint{}}
	err := filepath.WalkDir(f.target, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		p, err := filepath.Rel(f.target, name)
		if err == nil {
			c.seen[p], err = imprintOf(name)
		}
		return err
	})
	return c, err
}

// fold moves what was changed in the copy to upper, which then is what it would
// be had the command run on an overlay: new and changed files, whiteouts for
// what is gone, an opaque mark on what was made anew. The copy is used up.
func (c *copied) fold(upper string, userNS bool) error {
	f := &folder{
		copied: c, upper: upper, opaque: trustedOpaque,
		kept: map[string]bool{}, found: map[string]bool{}, ensured: map[string]bool{},
	}
	if userNS {
		f.opaque = userOpaque
	}
	if err := f.dir("."); err != nil {
		return err
	}
	for p := range c.seen {
		if f.found[p] || !f.kept[path.Dir(p)] {
			continue
		}
		if err := f.remove(p); err != nil {
			return err
		}
	}
	return nil
}

type folder struct {
	*copied
	upper  string
	opaque string
	kept   map[string]bool // folders that are still the ones they were
	found  map[string]bool // what is still there
	// ensured are the folders that the upper has by now.
	ensured map[string]bool
}

// dir folds a folder that is the one it was.
func (f *folder) dir(p string) error {
	f.kept[p], f.found[p] = true, true
	now, err := imprintOf(filepath.Join(f.root, p))
	if err != nil {
		return err
	}
	if now.meta != f.seen[p].meta {
		if err := f.ensure(p); err != nil {
			return err
		}
	}
	list, err := os.ReadDir(filepath.Join(f.root, p))
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := f.entry(path.Join(p, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) entry(p string) error {
	f.found[p] = true
	now, err := imprintOf(filepath.Join(f.root, p))
	if err != nil {
		return err
	}
	old, was := f.seen[p]
	switch {
	case !now.dir && was && now == old:
		return nil
	case now.dir && was && !now.replaces(old):
		return f.dir(p)
	}
	return f.move(p, now.dir, was)
}

// move puts p, with all that is in it, into the upper. A folder in the place of
// something else hides what that held.
func (f *folder) move(p string, dir, hides bool) error {
	if err := f.ensure(path.Dir(p)); err != nil {
		return err
	}
	target := filepath.Join(f.upper, p)
	if info, err := os.Lstat(target); err == nil {
		hides = hides || isWhiteout(info)
		if err := os.RemoveAll(target); err != nil {
			return err
		}
	}
	if err := os.Rename(filepath.Join(f.root, p), target); err != nil {
		return err
	}
	if !dir || !hides {
		return nil
	}
	err := unix.Lsetxattr(target, f.opaque, []byte("y"), 0)
	if err != nil && f.opaque != userOpaque {
		err = unix.Lsetxattr(target, userOpaque, []byte("y"), 0)
	}
	if err != nil {
		return &fs.PathError{Op: "setxattr " + userOpaque, Path: target, Err: err}
	}
	return nil
}

// remove hides p, which is gone from the copy.
func (f *folder) remove(p string) error {
	dir := path.Dir(p)
	if err := f.ensure(dir); err != nil {
		return err
	}
	target := filepath.Join(f.upper, p)
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	if f.hidden(dir) {
		return nil
	}
	err := unix.Mknod(target, unix.S_IFCHR, 0)
	if errors.Is(err, unix.EPERM) {
		err = unix.Mknod(target, unix.S_IFSOCK, 0)
	}
	if err != nil {
		return &fs.PathError{Op: "mknod", Path: target, Err: err}
	}
	return nil
}

// hidden tells whether nothing from below shows in a folder of the upper.
func (f *folder) hidden(dir string) bool {
	for ; dir != "."; dir = path.Dir(dir) {
		if isOpaque(filepath.Join(f.upper, dir)) {
			return true
		}
	}
	return false
}

// ensure gives the upper the folder p as the copy has it now.
func (f *folder) ensure(p string) error {
	if f.ensured[p] {
		return nil
	}
	f.ensured[p] = true
	host, source := filepath.Join(f.upper, p), filepath.Join(f.root, p)
	if p != "." {
		if err := f.ensure(path.Dir(p)); err != nil {
			return err
		}
		if err := os.Mkdir(host, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	info, err := os.Lstat(source)
	if err != nil {
		return err
	}
	if err := dropXattrs(host); err != nil {
		return err
	}
	return copyMeta(source, host, info)
}

// dropXattrs removes what a layer would hold, so that copying makes it equal.
func dropXattrs(file string) error {
	attrs, err := xattrsOf(file)
	if err != nil {
		return err
	}
	for _, a := range attrs {
		if err := unix.Lremovexattr(file, a.name); err != nil && !errors.Is(err, syscall.ENODATA) {
			return &fs.PathError{Op: "removexattr " + a.name, Path: file, Err: err}
		}
	}
	return nil
}

// overlayRefused tells whether err says that the kernel, or where the layers
// lie, cannot do an overlay.
func overlayRefused(err error) bool {
	var setup *SetupError
	if !errors.As(err, &setup) || setup.Step != stepMountRoot {
		return false
	}
	for _, refusal := range []error{unix.EINVAL, unix.ENODEV, unix.EPERM, unix.ENOSYS, unix.EOPNOTSUPP} {
		if errors.Is(setup.Err, refusal) {
			return true
		}
	}
	return false
}
