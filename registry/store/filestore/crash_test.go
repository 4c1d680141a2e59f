package filestore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kiln/registry/store"

	"golang.org/x/sys/unix"
)

// brokenDisk fails the step number at, and all that follow if cut is set: then
// it is a power cut, after which lose takes away all that no fsync had kept.
type brokenDisk struct {
	osDisk
	at    int
	cut   bool
	cause error

	steps  int
	failed string // the step that failed
	log    []string
	undo   []*change
}

// change is what a power cut may take back.
type change struct {
	dir  string // the folder whose fsync keeps it; "" for a file's content
	kept bool
	back func()
}

func (d *brokenDisk) step(op, path string) error {
	d.steps++
	d.log = append(d.log, op+" "+path)
	if d.steps == d.at || d.cut && d.at > 0 && d.steps > d.at {
		if d.failed == "" {
			d.failed = op
		}
		return d.cause
	}
	return nil
}

func (d *brokenDisk) changed(dir string, back func()) *change {
	c := &change{dir: dir, back: back}
	d.undo = append(d.undo, c)
	return c
}

// lose takes back what was not fsynced, the newest first.
func (d *brokenDisk) lose() {
	for _, c := range slices.Backward(d.undo) {
		if !c.kept {
			c.back()
		}
	}
}

func (d *brokenDisk) Create(path string) (tempFile, error) {
	if err := d.step("create", path); err != nil {
		return nil, err
	}
	f, err := d.osDisk.Create(path)
	if err != nil {
		return nil, err
	}
	again, err := os.OpenFile(path, os.O_WRONLY, 0) // its name may change
	if err != nil {
		return nil, err
	}
	data := d.changed("", func() { again.Truncate(0); again.Close() })
	return &brokenFile{f, d, path, data}, nil
}

type brokenFile struct {
	tempFile
	d    *brokenDisk
	path string
	data *change
}

func (f *brokenFile) Write(p []byte) (int, error) {
	if err := f.d.step("write", f.path); err != nil {
		n, _ := f.tempFile.Write(p[:len(p)/2])
		return n, err
	}
	return f.tempFile.Write(p)
}

func (f *brokenFile) Sync() error {
	if err := f.d.step("sync", f.path); err != nil {
		return err
	}
	f.data.kept = true
	return nil // the model remembers; the disk need not
}

func (d *brokenDisk) Mkdir(path string) error {
	if err := d.step("mkdir", path); err != nil {
		return err
	}
	err := d.osDisk.Mkdir(path)
	if err == nil {
		d.changed(filepath.Dir(path), func() { os.RemoveAll(path) })
	}
	return err
}

func (d *brokenDisk) Place(old, new string) error {
	return d.place("place", old, new, d.osDisk.Place)
}

func (d *brokenDisk) Link(old, new string) error {
	return d.place("link", old, new, d.osDisk.Link)
}

func (d *brokenDisk) Rename(old, new string) error {
	return d.place("rename", old, new, d.osDisk.Rename)
}

func (d *brokenDisk) place(op, old, new string, move func(old, new string) error) error {
	if err := d.step(op, new); err != nil {
		return err
	}
	was, readErr := os.ReadFile(new)
	err := move(old, new)
	if err == nil {
		d.changed(filepath.Dir(new), func() {
			os.Remove(new)
			if readErr == nil {
				os.WriteFile(new, was, 0o644)
			}
		})
	}
	return err
}

func (d *brokenDisk) Remove(path string) error {
	info, statErr := os.Lstat(path)
	op := "remove"
	if statErr == nil && info.IsDir() {
		op = "prune"
	}
	if err := d.step(op, path); err != nil {
		return err
	}
	was, _ := os.ReadFile(path)
	err := d.osDisk.Remove(path)
	if err == nil && op == "remove" {
		d.changed(filepath.Dir(path), func() { os.WriteFile(path, was, 0o644) })
	}
	return err
}

func (d *brokenDisk) SyncDir(path string) error {
	if err := d.step("syncdir", path); err != nil {
		return err
	}
	for _, c := range d.undo {
		if c.dir == path {
			c.kept = true
		}
	}
	_, err := os.Stat(path)
	return err
}

// state is what a script did: what was acknowledged, and what was tried last.
type state struct {
	acked, tried map[string]string // value by key; "" means absent
	errs         []error
}

func (w *state) did(key, value string, err error) {
	w.tried[key] = value
	if err == nil {
		w.acked[key] = value
	} else {
		w.errs = append(w.errs, err)
	}
}

// script does each kind of write, on new folders and on old ones.
func script(t *testing.T, dir string, d disk) *state {
	w := &state{acked: map[string]string{}, tried: map[string]string{}}
	s, err := open(t.Context(), dir, Options{Create: true}, d)
	if err != nil {
		w.errs = append(w.errs, err)
		return w
	}
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
	return w
}

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
		if acked := w.acked[key]; got != acked && got != tried {
			t.Errorf("%s holds %d bytes; acknowledged were %d, tried %d", key, len(got), len(acked), len(tried))
		}
	}
	for info, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := w.tried[info.Key]; !ok {
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
	return string(data), err
}

// TestFaults fails every single step, once with each error.
func TestFaults(t *testing.T) {
	count := &brokenDisk{}
	script(t, filepath.Join(t.TempDir(), "s"), count)
	for at := 1; at <= count.steps; at++ {
		for _, cause := range []error{unix.EIO, unix.EROFS} {
			dir := filepath.Join(t.TempDir(), "s")
			d := &brokenDisk{at: at, cause: cause}
			w := script(t, dir, d)
			what := fmt.Sprintf("step %d, %s, %v", at, d.failed, cause)
			switch {
			case d.failed == "prune": // an empty folder that stays harms nobody
			case len(w.errs) == 0 && !(errors.Is(cause, unix.EROFS) && (d.failed == "syncdir" || d.failed == "mkdir")):
				t.Errorf("%s: nobody noticed", what)
			case len(w.errs) > 0 && errors.Is(cause, unix.EROFS) && d.failed != "syncdir" && d.failed != "sync" && d.failed != "write" && !errors.Is(w.errs[0], store.ErrReadOnly) && !errors.Is(w.errs[0], store.ErrNotFound):
				t.Errorf("%s: got %v, want ErrReadOnly", what, w.errs[0])
			}
			t.Run(what, func(t *testing.T) { w.verify(t, dir) })
			if d.failed != "remove" && d.failed != "prune" {
				if left, _ := os.ReadDir(filepath.Join(dir, tmpDir)); len(left) != 0 {
					t.Errorf("%s: left %v in tmp", what, left)
				}
			}
		}
	}
}

// TestPowerCut stops at every single step and loses what was not fsynced.
func TestPowerCut(t *testing.T) {
	count := &brokenDisk{}
	script(t, filepath.Join(t.TempDir(), "s"), count)
	for at := 1; at <= count.steps+1; at++ {
		t.Run(fmt.Sprint("step ", at), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "s")
			d := &brokenDisk{at: at, cut: true, cause: unix.EIO}
			w := script(t, dir, d)
			d.lose()
			w.verify(t, dir)
		})
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
	for _, c := range []struct {
		name, want string
		do         func()
	}{
		{"object", "create write sync place syncdir", func() { put("dir/second") }},
		{"object again", "syncdir", func() { put("dir/second") }},
		{"pointer", "create write sync place syncdir", func() { s.Pointers().Swap(t.Context(), store.Absent("dir/p"), nil) }},
		{"object in a new folder", "create write sync mkdir syncdir place syncdir", func() { put("dir2/first") }},
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
