package filestore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiln/registry/store"

	"golang.org/x/sys/unix"
)

func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	if _, err := Open(t.Context(), dir, Options{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("open of nothing: got %v, want ErrNotFound", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("opening made the folder")
	}
	s := mustOpen(t, dir)
	if len(s.ID()) != 32 || s.Dir() != dir {
		t.Errorf("id %q, dir %q", s.ID(), s.Dir())
	}
	again, err := Open(t.Context(), dir, Options{})
	if err != nil || again.ID() != s.ID() {
		t.Errorf("opened again: %v", err)
	}
	if mustOpen(t, t.TempDir()).ID() == s.ID() {
		t.Error("two stores have one id")
	}
}

func TestOpenUnknownFormat(t *testing.T) {
	dir := t.TempDir()
	p := mustOpen(t, dir).Pointers()
	old, err := p.Load(t.Context(), store.FormatPointer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Swap(t.Context(), old, []byte(`{"layout":2,"store_id":"x"}`)); err != nil {
		t.Fatal(err)
	}
	for _, create := range []bool{true, false} {
		if _, err := Open(t.Context(), dir, Options{Create: create}); !errors.Is(err, store.ErrFormat) {
			t.Errorf("got %v, want ErrFormat", err)
		}
	}
}

// TestReadOnly uses a read-only mount, since modes do not stop root.
func TestReadOnly(t *testing.T) {
	dir, ro := t.TempDir(), t.TempDir()
	s := mustOpen(t, dir)
	if err := s.Put(t.Context(), "k/v", strings.NewReader("value")); err != nil {
		t.Fatal(err)
	}
	kept, err := s.Pointers().Swap(t.Context(), store.Absent("p"), []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	mountReadOnly(t, dir, ro)
	r := mustOpen(t, ro)
	if got, err := read(t, r, "k/v"); err != nil || got != "value" {
		t.Errorf("read %q, %v", got, err)
	}
	ctx, p := t.Context(), r.Pointers()
	_, swapErr := p.Swap(ctx, kept, []byte("two"))
	_, createErr := p.Swap(ctx, store.Absent("new"), []byte("two"))
	for op, err := range map[string]error{
		"put": r.Put(ctx, "k/other", strings.NewReader("x")), "put in a new folder": r.Put(ctx, "n/x", strings.NewReader("x")),
		"copy": r.Copy(ctx, "k/v", "k/w"), "delete": r.Delete(ctx, "k/v"),
		"swap": swapErr, "create": createErr, "delete pointer": p.Delete(ctx, kept),
	} {
		if !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("%s: got %v, want ErrReadOnly", op, err)
		}
	}
	if err := r.Put(ctx, "k/v", strings.NewReader("value")); err != nil {
		t.Errorf("what is there already needs no write: %v", err)
	}
}

func mountReadOnly(t *testing.T, dir, target string) {
	t.Helper()
	if err := unix.Mount(dir, target, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("bind mount: %v (this test runs as root)", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(target, 0); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}

// TestDiskFull fills a small file system.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatalf("mount: %v (this test runs as root)", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, 0) })
	s := mustOpen(t, dir)
	if err := s.Put(t.Context(), "small", strings.NewReader("kept")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		err := s.Put(t.Context(), "large", strings.NewReader(strings.Repeat("x", 2<<20)))
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("got %v, want no space", err)
		}
	}
	if _, err := s.Stat(t.Context(), "large"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("stat: %v", err)
	}
	if err := s.Put(t.Context(), "half", strings.NewReader(strings.Repeat("x", 1<<19))); err != nil {
		t.Errorf("the failed writes kept their room: %v", err)
	}
	if got, err := read(t, s, "small"); err != nil || got != "kept" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	make := func(name string, age time.Duration) string {
		path := filepath.Join(dir, tmpDir, name)
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		return path
	}
	dead, young := make("dead", 2*staleAge), make("young", 0)
	busy, f, err := s.writeTemp(t.Context(), strings.NewReader("being written"), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	old := time.Now().Add(-2 * staleAge)
	if err := os.Chtimes(busy, old, old); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir)
	for path, stays := range map[string]bool{dead: false, young: true, busy: true} {
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s stays: %v, want %v", filepath.Base(path), err == nil, stays)
		}
	}
}

func TestDamagedPointer(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	p := s.Pointers()
	ptr, err := p.Swap(t.Context(), store.Absent("p"), []byte("value"))
	if err != nil {
		t.Fatal(err)
	}
	path := s.path("p", kindPointer)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"empty": "", "half": string(whole[:len(whole)/2]), "other value": strings.Replace(string(whole), "value", "VALUE", 1),
		"longer": string(whole) + "x", "no revision": strings.Replace(string(whole), ptr.Revision, "", 1), "foreign": "hello\n",
	} {
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Load(t.Context(), "p"); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: load gives %v", name, err)
		}
		if _, err := p.Swap(t.Context(), ptr, []byte("next")); err == nil {
			t.Errorf("%s: swapped", name)
		}
		if _, err := p.Swap(t.Context(), store.Absent("p"), []byte("next")); err == nil {
			t.Errorf("%s: created again", name)
		}
	}
}

func TestForeignFiles(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	for _, name := range []string{"%41", "x%", "%pointer%"} {
		if err := os.WriteFile(filepath.Join(s.Dir(), name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for info := range s.List(t.Context(), "", "") {
		t.Errorf("%s lists", info.Key)
	}
}

func TestKeyInKey(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	for _, key := range []string{"a/b", "c"} {
		if err := s.Put(t.Context(), key, strings.NewReader(key)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"a", "c/d", "c/d/e"} {
		if err := s.Put(t.Context(), key, strings.NewReader(key)); !errors.Is(err, store.ErrInvalidKey) {
			t.Errorf("put %s: got %v, want ErrInvalidKey", key, err)
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %s: %v", key, err)
		}
	}
	if got, err := read(t, s, "a/b"); err != nil || got != "a/b" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestCheck(t *testing.T) {
	if err := Check(filepath.Join(t.TempDir(), "not", "there")); err != nil {
		t.Errorf("a local folder: %v", err)
	}
	for _, magic := range []uint32{unix.NFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.V9FS_MAGIC, unix.FUSE_SUPER_MAGIC} {
		if err := checkMagic("/x", magic); !errors.Is(err, ErrNotLocal) {
			t.Errorf("%#x: got %v, want ErrNotLocal", magic, err)
		}
	}
	for _, magic := range []uint32{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC} {
		if err := checkMagic("/x", magic); err != nil {
			t.Error(err)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"a", "%", "%pointer", "a%+", "%25", "é", strings.Repeat("%", 300), strings.Repeat("x", 200), strings.Repeat("x", 201)} {
		f.Add(s)
	}
	s := &Store{dir: "/s"}
	f.Fuzz(func(t *testing.T, key string) {
		if store.CheckKey(key) != nil {
			return
		}
		for _, k := range []kind{kindObject, kindPointer} {
			var got strings.Builder
			parts := strings.Split(strings.TrimPrefix(s.path(key, k), "/s/"), "/")
			for i, name := range parts {
				if len(name) > 255 {
					t.Fatalf("name of %d bytes", len(name))
				}
				part, kind, ok := parseName(name, i < len(parts)-1)
				if !ok {
					t.Fatalf("%q is not parsed", name)
				}
				got.WriteString(part)
				switch {
				case kind == kindFolder:
					got.WriteByte('/')
				case kind != kindContinued && kind != k:
					t.Fatalf("%q is kind %d, want %d", name, kind, k)
				}
			}
			if got.String() != key {
				t.Fatalf("%q comes back as %q", key, got.String())
			}
		}
	})
}
