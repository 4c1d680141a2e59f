package debian

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sort"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// writer carries a plan out in the upper directory. All access goes through
// os.Root, so that nothing leaves the directory whatever the plan says.
type writer struct {
	plan  *plan
	root  *os.Root
	clamp time.Time
	made  map[string]bool // directories that are there for sure
}

// newWriter opens the upper directory; the caller closes root.
func newWriter(p *plan) (*writer, error) {
	root, err := os.OpenRoot(p.view.layers[0])
	if err != nil {
		return nil, err
	}
	return &writer{plan: p, root: root, made: map[string]bool{".": true}}, nil
}

// write makes directories first, then files and symbolic links, several
// directories at a time, then hard links. Modification times later than clamp
// become clamp.
func (w *writer) write(ctx context.Context, clamp time.Time) error {
	w.clamp = clamp
	byDir, links, err := w.directories()
	if err != nil {
		return err
	}
	if err := w.files(ctx, byDir); err != nil {
		return err
	}
	for _, n := range links {
		if err := w.hardLink(n); err != nil {
			return describe(n, err)
		}
	}
	return nil
}

func describe(n *node, err error) error {
	if n.from == nil {
		return err
	}
	return fmt.Errorf("unpack %s %s: %w", n.from.Name, n.from.Version, err)
}

// directories makes every directory that is needed and sorts the rest by
// directory.
func (w *writer) directories() (byDir map[string][]*node, links []*node, err error) {
	paths := make([]string, 0, len(w.plan.nodes))
	for at := range w.plan.nodes {
		paths = append(paths, at)
	}
	sort.Strings(paths)
	byDir = map[string][]*node{}
	for _, at := range paths {
		n := w.plan.nodes[at]
		dir := path.Dir(at)
		if n.typ == tar.TypeDir {
			dir = at
		}
		if err := w.ensureDir(dir); err != nil {
			return nil, nil, describe(n, err)
		}
		switch n.typ {
		case tar.TypeDir:
		case tar.TypeLink:
			links = append(links, n)
		default:
			byDir[dir] = append(byDir[dir], n)
		}
	}
	return byDir, links, nil
}

// ensureDir makes a directory in the upper tree: as the plan says, as the one
// below that it covers, or else as root's with mode 0755.
func (w *writer) ensureDir(dir string) error {
	if w.made[dir] {
		return nil
	}
	if err := w.ensureDir(path.Dir(dir)); err != nil {
		return err
	}
	w.made[dir] = true
	mode, uid, gid := uint32(0o755), 0, 0
	if n := w.plan.nodes[dir]; n != nil && n.typ == tar.TypeDir {
		mode, uid, gid = uint32(n.mode), n.uid, n.gid
	} else if info, _ := w.plan.view.find(dir); info != nil {
		stat := info.Sys().(*syscall.Stat_t)
		mode, uid, gid = stat.Mode&0o7777, int(stat.Uid), int(stat.Gid)
	}
	covered := false
	if info, err := w.root.Lstat(dir); err == nil {
		if info.IsDir() {
			return nil
		}
		if covered = whiteout(info); !covered {
			return fmt.Errorf("/%s is there already and no directory", dir)
		}
		if err := w.root.Remove(dir); err != nil {
			return err
		}
	}
	if err := w.root.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := w.root.Lchown(dir, uid, gid); err != nil {
		return err
	}
	if covered {
		if err := setOpaque(filepath.Join(w.plan.view.layers[0], dir)); err != nil {
			return err
		}
	}
	return w.root.Chmod(dir, fileMode(int64(mode)))
}

// setOpaque keeps what lies below a directory from showing through again.
func setOpaque(dir string) error {
	if unix.Lsetxattr(dir, "trusted.overlay.opaque", []byte("y"), 0) == nil {
		return nil
	}
	return unix.Lsetxattr(dir, "user.overlay.opaque", []byte("y"), 0)
}

func fileMode(mode int64) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	if mode&0o4000 != 0 {
		m |= fs.ModeSetuid
	}
	if mode&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if mode&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	return m
}

func (w *writer) files(ctx context.Context, byDir map[string][]*node) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for dir, nodes := range byDir {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			sub, err := w.root.OpenRoot(dir)
			if err != nil {
				return describe(nodes[0], err) // a file stands where the folder should
			}
			defer sub.Close()
			buffer := make([]byte, 1<<17)
			for _, n := range nodes {
				if err := w.file(sub, n, buffer); err != nil {
					return describe(n, err)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func (w *writer) file(dir *os.Root, n *node, buffer []byte) error {
	name := path.Base(n.path)
	if n.typ == tar.TypeSymlink {
		if err := replace(dir, name, func() error { return dir.Symlink(n.link, name) }); err != nil {
			return err
		}
		return dir.Lchown(name, n.uid, n.gid)
	}
	var f *os.File
	err := replace(dir, name, func() (err error) {
		f, err = dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	defer f.Close()
	content := io.NewSectionReader(n.from.unpacked.data, n.offset, n.size)
	written, err := io.CopyBuffer(onlyWriter{f}, onlyReader{content}, buffer)
	if err == nil && written != n.size {
		err = fmt.Errorf("/%s: %d bytes of content, want %d", n.path, written, n.size)
	}
	if err != nil {
		return err
	}
	if err := f.Chown(n.uid, n.gid); err != nil {
		return err
	}
	if err := f.Chmod(fileMode(n.mode)); err != nil {
		return err
	}
	at := unix.NsecToTimeval(clamped(n.mtime, w.clamp).UnixNano())
	if err := unix.Futimes(int(f.Fd()), []unix.Timeval{at, at}); err != nil {
		return err
	}
	return f.Close()
}

// replace makes a file, removing first what has its name.
func replace(dir *os.Root, name string, create func() error) error {
	err := create()
	if !os.IsExist(err) {
		return err
	}
	if err := dir.Remove(name); err != nil {
		return err
	}
	return create()
}

func (w *writer) hardLink(n *node) error {
	return replace(w.root, n.path, func() error { return w.root.Link(n.link, n.path) })
}

// clamped cuts a time to whole seconds, no later than limit (unless that is
// zero).
func clamped(t, limit time.Time) time.Time {
	if !limit.IsZero() && t.After(limit) {
		t = limit
	}
	return t.Truncate(time.Second)
}
