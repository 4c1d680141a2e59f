package bake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kiln/bake/sandbox"
	"kiln/bake/template"
)

// bound is what a bind mount shows, by the target of the mount. Targets of the
// items are absolute within it; of a mounted file it is the one item "/".
type bound map[string]contents

// bindings finds what the bind mounts of a run show.
func (b *Builder) bindings(ctx context.Context, st *state, run *template.Run) (bound, error) {
	all := bound{}
	for _, m := range run.Mounts {
		if m.Type != template.MountBind {
			continue
		}
		c, err := b.binding(ctx, st.recipe, m)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m, err)
		}
		all[m.Target] = c
	}
	return all, nil
}

func (b *Builder) binding(ctx context.Context, recipe *template.Image, m template.Mount) (contents, error) {
	switch c := m.Copied(); {
	case c != nil:
		return b.copyContents(c)
	case m.From != nil:
		return b.imageContents(ctx, recipe, &template.ImageCopy{From: *m.From, Source: m.Source, Target: "/", Exclude: m.Exclude})
	}
	return contents{}, errors.New("its files are not recorded with the version (bake it from its template)")
}

// mountsKey is what of the mounts decides on a step's outcome: which secrets
// and caches there are, but neither their values nor what is in them; the files
// of binds by content.
func mountsKey(run *template.Run, binds bound) []any {
	var parts []any
	for _, m := range run.Mounts {
		sum := ""
		if m.Type == template.MountBind {
			sum = treeSum(binds[m.Target].items)
		}
		parts = append(parts, []any{m.Type, m.Target, m.ID, m.Mode, m.UID, m.GID, m.Env, m.Optional, m.Writable, m.Size, sum})
	}
	return parts
}

// mounted is what a running step sees besides the image.
type mounted struct {
	mounts  []sandbox.Mount
	env     []string // of secrets
	secrets []secret
	close   func() // takes everything away again
}

type secret struct{ name, value string }

// mountAll makes the mounts of a run, with a folder for what goes with the
// step. The caller closes them when the command has ended.
func (b *Builder) mountAll(ctx context.Context, st *state, run *template.Run, binds bound, dir string) (m *mounted, err error) {
	m = &mounted{close: func() {}}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	for i, def := range run.Mounts {
		switch def.Type {
		case template.MountTmpfs:
			m.mounts = append(m.mounts, sandbox.Mount{Type: "tmpfs", Target: def.Target})
		case template.MountCache:
			err = b.mountCache(ctx, st.recipe, def, m)
		case template.MountBind:
			err = m.bind(ctx, def, binds[def.Target], filepath.Join(dir, fmt.Sprintf("bind-%d", i)))
		case template.MountSecret:
			err = b.mountSecret(def, m)
		default:
			err = fmt.Errorf("mount of unknown type %q", def.Type)
		}
		if err != nil {
			return m, fmt.Errorf("%s: %w", def, err)
		}
	}
	return m, nil
}

// before adds what close does first.
func (m *mounted) before(undo func()) {
	rest := m.close
	m.close = func() { undo(); rest() }
}

func (m *mounted) bind(ctx context.Context, def template.Mount, c contents, dir string) error {
	if err := makeDirs(dir); err != nil {
		return err
	}
	if c.load != nil {
		if err := c.load(ctx, dir); err != nil {
			return err
		}
	}
	at := filepath.Join(dir, "content")
	if err := writeItems(at, c.items); err != nil {
		return err
	}
	m.mounts = append(m.mounts, sandbox.Mount{Source: at, Target: def.Target, ReadOnly: !def.Writable})
	return nil
}

// mountCache lends the step a folder of the cache, which no other step has at
// the same time. What is in it is neither checked nor part of any key.
func (b *Builder) mountCache(ctx context.Context, recipe *template.Image, def template.Mount, m *mounted) error {
	project := strings.TrimSuffix(recipe.FullName, recipe.Name)
	name := key("mount", project, def.ID)
	dir := b.cache.path("mounts", userForm(), name)
	if err := makeDirs(filepath.Dir(dir)); err != nil {
		return err
	}
	lock, err := waitLock(ctx, dir+".lock")
	if err != nil {
		return err
	}
	m.before(func() { lock.Close() })
	mode := uint32(0o755)
	if def.Mode != nil {
		mode = *def.Mode
	}
	if err := os.Mkdir(dir, 0o700); err == nil {
		err = errors.Join(os.Chown(dir, def.UID, def.GID), unix.Chmod(dir, mode))
		if err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	b.cache.claim("mounts", userForm(), name)
	b.cache.wrote(1) // nobody knows how much
	m.mounts = append(m.mounts, sandbox.Mount{Source: dir, Target: def.Target})
	return nil
}

// lockPause is how long to wait before a lock is asked for again.
const lockPause = 50 * time.Millisecond

// waitLock locks a file, which it makes, until it is closed. A file that was
// pruned meanwhile is no lock.
func waitLock(ctx context.Context, name string) (*os.File, error) {
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && isStill(f, name) {
			return f, nil
		}
		f.Close()
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPause):
		}
	}
}

// isStill tells whether a name still leads to an open file.
func isStill(f *os.File, name string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(name)
	return err == nil && os.SameFile(open, there)
}

// writeItems puts items below a folder that it makes, or makes it the one file
// that they are.
func writeItems(at string, items []item) error {
	items = settled(items)
	if len(items) == 1 && items[0].Target == "/" && !items[0].isDir() {
		root, err := os.OpenRoot(filepath.Dir(at))
		if err != nil {
			return err
		}
		defer root.Close()
		return writeItem(root, filepath.Base(at), items[0])
	}
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(at)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, it := range items {
		name := strings.TrimPrefix(it.Target, "/")
		if name == "" {
			name = "."
		} else if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		if err := writeItem(root, name, it); err != nil {
			return fmt.Errorf("%s: %w", it.Target, err)
		}
	}
	for _, it := range slices.Backward(items) { // what lies in a folder changes its time
		if it.isDir() {
			if err := root.Chtimes(path.Join(".", it.Target), Epoch, Epoch); err != nil {
				return err
			}
		}
	}
	return nil
}
