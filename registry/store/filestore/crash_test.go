package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kiln/registry/store"

	"golang.org/x/sys/unix"
)

// state is what a script did: what was acknowledged, and what was tried since.
type state struct {
	acked map[string]string // value by key; "" means absent
	tried map[string][]string
	errs  []error
	lossy []string // keys of which nothing is promised
}

func newState() *state { return &state{acked: map[string]string{}, tried: map[string][]string{}} }

func (w *state) did(key, value string, err error) {
	w.tried[key] = append(w.tried[key], value)
	if err == nil {
		w.acked[key], w.tried[key] = value, nil
	} else {
		w.errs = append(w.errs, err)
	}
}

// script does each kind of write, on new folders and on old ones.
func script(t *testing.T, dir string, d disk) *state {
	w := newState()
	s, err := open(t.Context(), dir, Options{Create: true}, d)
	if err != nil {
		w.errs = append(w.errs, err)
		return w
	}
	w.run(t, s)
	return w
}

// run can be done again on what it left.
func (w *state) run(t *testing.T, s *Store) {
	ctx, p := t.Context(), s.Pointers()
	put := func(key string) {
		value := strings.Repeat(key, 1000)
		w.did(key, value, s.Put(ctx, key, strings.NewReader(value)))
	}
	swap := func(name, value string) {
		old, err := p.Load(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			old = store.Absent(name)
		}
		_, err = p.Swap(ctx, old, []byte(value))
		w.did("pointer "+name, value, err)
	}
	put("blobs/sha256/aa/one")
	put("blobs/sha256/aa/two")
	put("blobs/sha256/aa/one")
	swap("images/x/tags/t", "first")
	swap("images/x/tags/t", "second")
	w.did("copied/one", strings.Repeat("blobs/sha256/aa/one", 1000), s.Copy(ctx, "blobs/sha256/aa/one", "copied/one"))
	w.did("blobs/sha256/aa/two", "", s.Delete(ctx, "blobs/sha256/aa/two"))
	swap("images/x/tags/u", "gone")
	if old, err := p.Load(ctx, "images/x/tags/u"); err == nil {
		w.did("pointer images/x/tags/u", "", p.Delete(ctx, old))
	}
	w.did("images/x/blobs/one", empty, s.Put(ctx, "images/x/blobs/one", strings.NewReader("")))
	g, settle := s.Group()
	err := errors.Join(g.Put(ctx, "blobs/sha256/bb/three", strings.NewReader("three")),
		g.Put(ctx, "images/x/blobs/three", strings.NewReader("")))
	if err == nil {
		err = settle(ctx)
	}
	w.did("blobs/sha256/bb/three", "three", err)
	w.did("images/x/blobs/three", empty, err)
	w.upload(ctx, s)
}

// upload stores a chunk, which may get lost, and makes a blob of it, which may not.
func (w *state) upload(ctx context.Context, s *Store) {
	const session, chunk = "uploads/u/session", "uploads/u/chunk"
	w.lossy = []string{session, chunk}
	old, err := s.Pointers().Load(ctx, session)
	if errors.Is(err, store.ErrNotFound) {
		old, err = store.Absent(session), nil
	}
	if err == nil {
		err = s.Put(ctx, chunk, strings.NewReader("four"))
	}
	ptr := old
	if err == nil {
		ptr, err = s.Pointers().Swap(ctx, old, []byte("state"))
	}
	g, settle := s.Group()
	if err == nil {
		err = g.(store.Copier).Copy(ctx, chunk, "blobs/sha256/cc/four")
	}
	if err == nil {
		err = settle(ctx)
	}
	w.did("blobs/sha256/cc/four", "four", err)
	for _, err := range []error{s.Pointers().Delete(ctx, ptr), s.Delete(ctx, chunk)} {
		if err != nil {
			w.errs = append(w.errs, err)
		}
	}
}

// empty stands for an object without bytes; "" is none at all.
const empty = "(empty)"

// verify opens what is left with a good disk: everything acknowledged is
// there, everything else is as it was tried, or as it was before.
func (w *state) verify(t *testing.T, dir string) {
	t.Helper()
	s := mustOpen(t, dir)
	for key, tried := range w.tried {
		got, err := read(t, s, key)
		if err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if acked := w.acked[key]; got != acked && !slices.Contains(tried, got) {
			t.Errorf("%s holds %d bytes; acknowledged were %d, tried %.20q", key, len(got), len(acked), tried)
		}
	}
	for info, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := w.tried[info.Key]; !ok && !slices.Contains(w.lossy, info.Key) {
			t.Errorf("%s lists", info.Key)
		}
	}
	clean := script(t, dir, &brokenDisk{}) // and it works on
	if len(clean.errs) > 0 {
		t.Errorf("afterwards: %v", clean.errs)
	}
}

func read(t *testing.T, s *Store, key string) (string, error) {
	if name, ok := strings.CutPrefix(key, "pointer "); ok {
		ptr, err := s.Pointers().Load(t.Context(), name)
		if errors.Is(err, store.ErrNotFound) {
			return "", nil
		}
		return string(ptr.Value), err
	}
	data, err := os.ReadFile(s.path(key, kindObject))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err == nil && len(data) == 0 {
		return empty, nil
	}
	return string(data), err
}

// errShort makes a write end early without saying so.
var errShort = errors.New("short write")

// unnoticed are the steps whose failure harms nobody: an empty folder or a
// temporary file that stays, and a file that was fsynced before its close.
var unnoticed = []string{"prune", "discard", "close"}

// TestFaults fails every single step, once with each error: the write says so,
// nothing half is visible, and the store works on (FAULTS 39).
func TestFaults(t *testing.T) {
	count := &brokenDisk{}
	script(t, filepath.Join(t.TempDir(), "s"), count)
	for at := 1; at <= count.steps; at++ {
		for _, f := range []struct {
			cause, want error
			half        func(int) int
		}{
			{cause: unix.EIO, want: unix.EIO},
			{cause: unix.EIO, want: unix.EIO, half: func(int) int { return 0 }},
			{cause: unix.EROFS, want: store.ErrReadOnly},
			{cause: unix.ENOSPC, want: store.ErrFull, half: func(n int) int { return n - 1 }},
			{cause: unix.EDQUOT, want: store.ErrFull},
			{cause: errShort, want: io.ErrShortWrite},
		} {
			dir := filepath.Join(t.TempDir(), "s")
			d := &brokenDisk{at: at, cause: f.cause, half: f.half}
			w := script(t, dir, d)
			if f.cause == errShort && d.failed != "write" {
				continue
			}
			what := fmt.Sprintf("step %d, %s, %v", at, d.failed, f.cause)
			switch {
			case slices.Contains(unnoticed, d.failed):
				if len(w.errs) > 0 {
					t.Errorf("%s: %v", what, w.errs)
				}
			case len(w.errs) == 0: // then it was made good, or needed no write
				switch d.failed {
				case "syncdir", "mkdir", "withdraw":
					d.lose(nil)
				default:
					t.Errorf("%s: nobody noticed", what)
				}
			case !errors.Is(w.errs[0], f.want):
				t.Errorf("%s: got %v, want %v", what, w.errs[0], f.want)
			}
			t.Run(what, func(t *testing.T) { w.verify(t, dir) })
			if left, _ := os.ReadDir(filepath.Join(dir, tmpDir)); len(left) != 0 && d.failed != "discard" {
				t.Errorf("%s: left %v in tmp", what, left)
			}
		}
	}
}

// TestFailedSync fails each fsync once and does everything again. What the
// second try acknowledges survives a power cut in which all is lost that the
// failed fsync was to keep: a later fsync of the same file counts for nothing.
func TestFailedSync(t *testing.T) {
	count := &brokenDisk{}
	script(t, filepath.Join(t.TempDir(), "s"), count)
	syncs := 0
	for at := 1; at <= count.steps; at++ {
		if op, _, _ := strings.Cut(count.log[at-1], " "); op != "sync" && op != "syncdir" {
			continue
		}
		syncs++
		t.Run(count.log[at-1][:7]+fmt.Sprint(at), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "s")
			d := &brokenDisk{at: at, cause: unix.EIO}
			s, err := open(t.Context(), dir, Options{Create: true}, d)
			if err != nil {
				s, err = open(t.Context(), dir, Options{Create: true}, d)
			}
			if err != nil {
				t.Fatal(err)
			}
			w := newState()
			w.run(t, s)
			again := newState()
			again.run(t, s)
			if len(again.errs) > 0 {
				t.Fatalf("done again: %v", again.errs)
			}
			d.lose(nil)
			again.verify(t, dir)
		})
	}
	if syncs < 15 {
		t.Errorf("only %d fsyncs", syncs)
	}
}

// TestPowerCut stops at every single step. Then the process is gone and the
// disk has kept everything, only what was fsynced, or some of the rest.
func TestPowerCut(t *testing.T) {
	count := &brokenDisk{}
	script(t, filepath.Join(t.TempDir(), "s"), count)
	for at := 1; at <= count.steps+1; at++ {
		for name, lose := range map[string]func(d *brokenDisk){
			"kill": func(*brokenDisk) {},
			"cut":  func(d *brokenDisk) { d.lose(nil) },
			"some": func(d *brokenDisk) { d.lose(rand.New(rand.NewPCG(1, uint64(at)))) },
			"more": func(d *brokenDisk) { d.lose(rand.New(rand.NewPCG(2, uint64(at)))) },
		} {
			t.Run(fmt.Sprint(name, " at step ", at), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "s")
				d := &brokenDisk{at: at, cut: true, cause: unix.EIO}
				w := script(t, dir, d)
				lose(d)
				w.verify(t, dir)
			})
		}
	}
}

// TestSteps holds the number of fsyncs of the writes that are many.
func TestSteps(t *testing.T) {
	d := &brokenDisk{}
	s, err := open(t.Context(), filepath.Join(t.TempDir(), "s"), Options{Create: true}, d)
	if err != nil {
		t.Fatal(err)
	}
	put := func(key string) { s.Put(t.Context(), key, strings.NewReader("x")) }
	put("dir/first")
	put("uploads/u/first")
	for _, c := range []struct {
		name, want string
		do         func()
	}{
		{"object", "create write sync place syncdir close", func() { put("dir/second") }},
		{"object again", "syncdir", func() { put("dir/second") }},
		{"pointer", "lock create write sync place syncdir close", func() { s.Pointers().Swap(t.Context(), store.Absent("dir/p"), nil) }},
		{"object in a new folder", "create write sync mkdir syncdir place syncdir close", func() { put("dir2/first") }},
		{"delete", "withdraw syncdir discard", func() { s.Delete(t.Context(), "dir/second") }},
		{"empty object", "touch syncdir", func() { s.Put(t.Context(), "dir/empty", strings.NewReader("")) }},
		{"chunk and session", "create write mkdir place close lock create write mkdir place close", func() {
			s.Put(t.Context(), "uploads/u/chunk", strings.NewReader("x"))
			s.Pointers().Swap(t.Context(), store.Absent("uploads/u/session"), nil)
		}},
		{"blob of a chunk", "syncfile link syncdir", func() { s.Copy(t.Context(), "uploads/u/chunk", "dir2/chunk") }},
		{"group", "create write sync place close touch syncdir syncdir", func() {
			g, settle := s.Group()
			g.Put(t.Context(), "dir/third", strings.NewReader("x"))
			g.Put(t.Context(), "dir2/link", strings.NewReader(""))
			settle(t.Context())
		}},
	} {
		d.log = nil
		c.do()
		var ops []string
		for _, l := range d.log {
			ops = append(ops, strings.Fields(l)[0])
		}
		if got := strings.Join(ops, " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
