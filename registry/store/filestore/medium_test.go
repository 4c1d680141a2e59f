//go:build full

package filestore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/registry/store"

	"golang.org/x/sys/unix"
)

// mountSmall mounts a file system of its own. Like every mount here it needs
// root, which the whole test command does.
func mountSmall(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("mount: %v (this test runs as root)", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFullMedium fills a medium up by writes of every kind, with bytes and
// with inodes. Every refusal is ErrFull, all that was acknowledged stays
// readable, and with room again writes succeed (FAULTS 39).
func TestFullMedium(t *testing.T) {
	for options, size := range map[string]int{
		"size=2m":                 100_000,
		"size=64m,nr_inodes=200":  10,
		"size=64k,nr_inodes=1000": 1,
	} {
		t.Run(options, func(t *testing.T) {
			s := mustOpen(t, mountSmall(t, options))
			acked := fill(t, s, size)
			if len(acked) < 5 {
				t.Fatalf("full after %d writes", len(acked))
			}
			wantAll(t, s, acked)
			if left, _ := os.ReadDir(filepath.Join(s.Dir(), tmpDir)); len(left) > 0 {
				t.Errorf("left %v in tmp", left)
			}
			again, err := Open(t.Context(), s.Dir(), Options{Create: true})
			if err != nil {
				t.Fatalf("open while full: %v", err)
			}
			wantAll(t, again, acked)
			makeRoom(t, again, acked)
			if more := fill(t, again, size); len(more) == 0 {
				t.Error("nothing can be written after deletions")
			}
			wantAll(t, again, acked)
		})
	}
}

// fill writes until no kind of write gets through, and returns what was
// acknowledged.
func fill(t *testing.T, s *Store, size int) map[string]string {
	t.Helper()
	ctx, acked := t.Context(), map[string]string{}
	refused := func(what string, err error) bool {
		if err != nil && !errors.Is(err, store.ErrFull) {
			t.Errorf("%s: got %v, want ErrFull", what, err)
		}
		return err != nil
	}
	for n := 0; n < 10_000; n++ {
		value := strings.Repeat(fmt.Sprint(n%10), size)
		key, name := fmt.Sprintf("dir%d/object-%d-%s", n%7, n, nonce()), fmt.Sprintf("dir%d/pointer-%d-%s", n%7, n, nonce())
		failed := 0
		if refused("put", s.Put(ctx, key, strings.NewReader(value))) {
			failed++
		} else {
			acked[key] = value
		}
		if _, err := s.Pointers().Swap(ctx, store.Absent(name), []byte(value)); refused("swap", err) {
			failed++
		} else {
			acked["pointer "+name] = value
		}
		if failed == 2 {
			return acked
		}
	}
	t.Fatal("it never gets full")
	return nil
}

// makeRoom deletes half of the objects and pointers, which a full medium lets.
func makeRoom(t *testing.T, s *Store, acked map[string]string) {
	t.Helper()
	left := len(acked) / 2
	for key := range acked {
		if left--; left < 0 {
			return
		}
		var err error
		if name, ok := strings.CutPrefix(key, "pointer "); ok {
			var old store.Pointer
			if old, err = s.Pointers().Load(t.Context(), name); err == nil {
				err = s.Pointers().Delete(t.Context(), old)
			}
			if errors.Is(err, store.ErrFull) {
				continue // its lock file has no room yet
			}
		} else {
			err = s.Delete(t.Context(), key)
		}
		if err != nil {
			t.Errorf("delete %s: %v", key, err)
		}
		delete(acked, key)
	}
}

func wantAll(t *testing.T, s *Store, acked map[string]string) {
	t.Helper()
	for key, want := range acked {
		if got, err := read(t, s, key); err != nil || got != want {
			t.Errorf("%s holds %d bytes, %v; want %d", key, len(got), err, len(want))
		}
	}
	for info, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if info.Size == 0 {
			t.Errorf("%s is empty", info.Key)
		}
	}
}

// TestTurnsReadOnly: a medium that is remounted read-only under an open store,
// as the kernel does after errors, refuses writes and serves reads; remounted
// again it takes writes.
func TestTurnsReadOnly(t *testing.T) {
	dir := mountSmall(t, "size=4m")
	s := mustOpen(t, dir)
	ctx := t.Context()
	if err := s.Put(ctx, "k/v", strings.NewReader("value")); err != nil {
		t.Fatal(err)
	}
	old, err := s.Pointers().Swap(ctx, store.Absent("p"), []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	remount := func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(unix.MS_RDONLY)
	_, swapErr := s.Pointers().Swap(ctx, old, []byte("two"))
	for op, err := range map[string]error{
		"put": s.Put(ctx, "k/w", strings.NewReader("x")), "delete": s.Delete(ctx, "k/v"), "swap": swapErr, "copy": s.Copy(ctx, "k/v", "k/c"),
	} {
		if !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("%s: got %v, want ErrReadOnly", op, err)
		}
	}
	wantAll(t, s, map[string]string{"k/v": "value", "pointer p": "one"})
	remount(0)
	if _, err := s.Pointers().Swap(ctx, old, []byte("two")); err != nil {
		t.Errorf("writable again: %v", err)
	}
	wantAll(t, s, map[string]string{"k/v": "value", "pointer p": "two"})
}
