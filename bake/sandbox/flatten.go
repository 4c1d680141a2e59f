package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// flattener copies what an overlay of some layers would show into one folder.
//
// Every file of the lowers becomes a file of its own, also where several are
// hard links to one: so it is in an overlay, where a write to one of them does
// not reach the others. Hard links within the upper stay.
type flattener struct {
	target  string
	layers  []string // top first
	upper   bool     // layers[0] is the upper
	minFree int64

	files  []fileCopy
	dirs   []string               // parents first
	linked map[uint64]string      // inodes of the upper -> first path
	links  [][2]string            // of the copy: new path and the one it links to
	from   map[string]fs.FileInfo // of dirs
	copied atomic.Int64           // bytes
	mu     sync.Mutex
	looked int64 // bytes at the last look at the disk
}

// fileCopy is one file that waits to be copied.
type fileCopy struct {
	path, source string
	info         fs.FileInfo
}

// copyWorkers is how many files are under way at once.
const copyWorkers = 4

// flatten copies the layers of r into the empty folder target and says what is
// there now. It leaves minFree bytes of the disk free.
func flatten(ctx context.Context, r Root, target string, minFree int64) (*copied, error) {
	f := &flattener{target: target, minFree: minFree, linked: map[uint64]string{}, from: map[string]fs.FileInfo{}}
	if r.Upper != "" {
		f.layers, f.upper = append(f.layers, r.Upper), true
	}
	for _, l := range slices.Backward(r.Lowers) {
		f.layers = append(f.layers, l)
	}
	for _, l := range f.layers {
		if st, err := os.Stat(l); err != nil {
			return nil, err
		} else if !st.IsDir() {
			return nil, fmt.Errorf("%s is not a directory", l)
		}
	}
	if err := f.dir(".", f.layers); err != nil {
		return nil, err
	}
	if err := f.copyFiles(ctx); err != nil {
		return nil, err
	}
	for _, l := range f.links {
		if err := os.Link(filepath.Join(target, l[1]), filepath.Join(target, l[0])); err != nil {
			return nil, err
		}
	}
	for _, d := range slices.Backward(f.dirs) {
		if err := setTimes(filepath.Join(target, d), f.from[d]); err != nil {
			return nil, err
		}
	}
	return f.note()
}

// dir copies the folder p, to whose content the given layers contribute.
func (f *flattener) dir(p string, layers []string) error {
	source := filepath.Join(layers[0], p)
	info, err := os.Lstat(source)
	if err != nil {
		return err
	}
	host := filepath.Join(f.target, p)
	if p != "." {
		if err := os.Mkdir(host, 0o700); err != nil {
			return err
		}
	}
	if err := copyMeta(source, host, info); err != nil {
		return err
	}
	f.dirs, f.from[p] = append(f.dirs, p), info
	decided := map[string]bool{}
	for i, layer := range layers {
		list, err := os.ReadDir(filepath.Join(layer, p))
		if err != nil {
			return err
		}
		for _, e := range list {
			if decided[e.Name()] {
				continue
			}
			decided[e.Name()] = true
			if err := f.entry(path.Join(p, e.Name()), layers[i:], e); err != nil {
				return err
			}
		}
	}
	return nil
}

// entry copies p, which the first of the layers decides.
func (f *flattener) entry(p string, layers []string, e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil || isWhiteout(info) {
		return err
	}
	if info.IsDir() {
		through, err := showThrough(p, layers)
		if err != nil {
			return err
		}
		return f.dir(p, through)
	}
	st := info.Sys().(*syscall.Stat_t)
	if f.upper && layers[0] == f.layers[0] && st.Nlink > 1 {
		if first, ok := f.linked[st.Ino]; ok {
			f.links = append(f.links, [2]string{p, first})
			return nil
		}
		f.linked[st.Ino] = p
	}
	source := filepath.Join(layers[0], p)
	if info.Mode().IsRegular() {
		f.files = append(f.files, fileCopy{p, source, info})
		return nil
	}
	return copySpecial(source, filepath.Join(f.target, p), info)
}

// showThrough are those layers whose content shows in the folder p, which the
// first of them has.
func showThrough(p string, layers []string) ([]string, error) {
	var through []string
	for _, l := range layers {
		host := filepath.Join(l, p)
		info, err := os.Lstat(host)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			break
		}
		through = append(through, l)
		if isOpaque(host) {
			break
		}
	}
	return through, nil
}

// isWhiteout knows both forms that package layers makes: overlayfs' own, and a
// socket without permissions where there can be no overlay.
func isWhiteout(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if ok && st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		return st.Mode&0o7777 == 0
	}
	return ok && info.Mode()&fs.ModeCharDevice != 0 && st.Rdev == 0
}

// Whiteouts tells whether the folder dir can hold overlayfs' whiteouts. Where
// it cannot, layers unpacked there are no lowers of an overlay: see Root.Copy.
func Whiteouts(dir string) bool {
	tmp, err := os.MkdirTemp(dir, "whiteout-")
	if err != nil {
		return false
	}
	defer os.RemoveAll(tmp)
	return unix.Mknod(filepath.Join(tmp, "x"), unix.S_IFCHR, 0) == nil
}

// The names of the mark that hides what lies below a folder.
const (
	trustedOpaque = "trusted.overlay.opaque"
	userOpaque    = "user.overlay.opaque"
)

func isOpaque(dir string) bool {
	var value [2]byte
	for _, name := range []string{trustedOpaque, userOpaque} {
		if n, err := unix.Lgetxattr(dir, name, value[:]); err == nil && n == 1 && value[0] == 'y' {
			return true
		}
	}
	return false
}

func (f *flattener) copyFiles(ctx context.Context) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(copyWorkers)
	for _, c := range f.files {
		if inner.Err() != nil {
			break
		}
		group.Go(func() error {
			if inner.Err() != nil {
				return context.Cause(inner)
			}
			if err := copyFile(c.source, filepath.Join(f.target, c.path), c.info); err != nil {
				return err
			}
			return f.checkDisk(c.info.Size())
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// checkDisk ends the copying before it takes what must stay free.
func (f *flattener) checkDisk(size int64) error {
	const often = 32 << 20
	now := f.copied.Add(size)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.minFree == 0 || now-f.looked < often {
		return nil
	}
	f.looked = now
	var st unix.Statfs_t
	if err := unix.Statfs(f.target, &st); err != nil {
		return nil
	}
	if free := int64(st.Bavail) * st.Bsize; free < f.minFree {
		return fmt.Errorf("%w: the disk of %s has only %d MB left", unix.ENOSPC, f.target, free>>20)
	}
	return nil
}

// copyFile copies one regular file: by sharing its blocks where the file system
// can, else within the kernel.
func copyFile(source, target string, info fs.FileInfo) error {
	in, err := os.OpenFile(source, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := copyContent(in, target, info.Size()); err != nil {
		return err
	}
	if err := copyMeta(source, target, info); err != nil {
		return err
	}
	return setTimes(target, info)
}

// copyContent copies while nobody forks: a child that another sandbox starts
// would hold the file open for writing until it executes its own program, and
// as long nobody can execute this one (ETXTBSY).
func copyContent(in *os.File, target string, size int64) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if size > 0 && unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) != nil {
		_, err = io.Copy(out, in)
	}
	if closed := out.Close(); err == nil {
		err = closed
	}
	return err
}

// copySpecial copies what is neither file nor folder. Sockets are left out, as
// they are in layers.
func copySpecial(source, target string, info fs.FileInfo) error {
	st := info.Sys().(*syscall.Stat_t)
	switch info.Mode().Type() {
	case fs.ModeSymlink:
		to, err := os.Readlink(source)
		if err != nil {
			return err
		}
		if err := os.Symlink(to, target); err != nil {
			return err
		}
	case fs.ModeSocket:
		return nil
	default:
		if err := unix.Mknod(target, st.Mode&unix.S_IFMT|0o600, int(st.Rdev)); err != nil {
			return &fs.PathError{Op: "mknod", Path: target, Err: err}
		}
	}
	if err := copyMeta(source, target, info); err != nil {
		return err
	}
	return setTimes(target, info)
}

// copyMeta gives target the owner, permissions and extended attributes that
// source has. Changing the owner takes setuid bits and capabilities away, so it
// comes first.
func copyMeta(source, target string, info fs.FileInfo) error {
	st := info.Sys().(*syscall.Stat_t)
	if err := os.Lchown(target, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Chmod(target, st.Mode&0o7777); err != nil {
			return &fs.PathError{Op: "chmod", Path: target, Err: err}
		}
	}
	attrs, err := xattrsOf(source)
	if err != nil {
		return err
	}
	for _, a := range attrs {
		if err := unix.Lsetxattr(target, a.name, a.value, 0); err != nil {
			return &fs.PathError{Op: "setxattr " + a.name, Path: target, Err: err}
		}
	}
	return nil
}

func setTimes(target string, info fs.FileInfo) error {
	st := info.Sys().(*syscall.Stat_t)
	times := []unix.Timespec{
		{Sec: st.Atim.Sec, Nsec: st.Atim.Nsec}, {Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec},
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, target, times, unix.AT_SYMLINK_NOFOLLOW)
}

type xattr struct {
	name  string
	value []byte
}

// xattrsOf are the extended attributes that layers hold, by name.
func xattrsOf(file string) ([]xattr, error) {
	buf := make([]byte, 64<<10) // the kernel's limit for names and for a value
	n, err := unix.Llistxattr(file, buf)
	if errors.Is(err, unix.ENOTSUP) || err == nil && n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, &fs.PathError{Op: "listxattr", Path: file, Err: err}
	}
	var all []xattr
	names := strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00")
	slices.Sort(names)
	for _, name := range names {
		if !layerXattr(name) {
			continue
		}
		n, err := unix.Lgetxattr(file, name, buf)
		if err != nil {
			return nil, &fs.PathError{Op: "getxattr " + name, Path: file, Err: err}
		}
		all = append(all, xattr{name, slices.Clone(buf[:n])})
	}
	return all, nil
}

func layerXattr(name string) bool {
	switch name {
	case "security.capability", "system.posix_acl_access", "system.posix_acl_default":
		return true
	}
	return strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay.")
}

// clockTick is longer than any kernel's: what is changed after it has another
// time than what was changed before.
const clockTick = 12 * time.Millisecond
