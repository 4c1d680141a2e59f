package filestore

import (
	"errors"
	"os"
	"testing"
	"time"

	"kiln/registry/store"
)

// TestPointerMemo: a pointer that is remembered is that of the disk, whoever
// moves or deletes it, and the caller's to change.
func TestPointerMemo(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	s, other := mustOpen(t, dir), mustOpen(t, dir).Pointers()
	p := s.Pointers()
	want := func(value string) store.Pointer {
		t.Helper()
		ptr, err := p.Load(ctx, "tags/t")
		if err != nil || string(ptr.Value) != value {
			t.Fatalf("got %q, %v; want %q", ptr.Value, err, value)
		}
		return ptr
	}
	remembered := func() {
		t.Helper()
		time.Sleep(2 * settled)
		ptr := want("one")
		if _, ok := s.memo.get("tags/t", s.path("tags/t", kindPointer)); !ok {
			t.Fatal("it is not remembered")
		}
		if again := want("one"); again.Revision != ptr.Revision {
			t.Errorf("revisions %q and %q", ptr.Revision, again.Revision)
		} else {
			copy(again.Value, "xxx")
		}
		want("one")
	}
	ptr, err := p.Swap(ctx, store.Absent("tags/t"), []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	remembered()
	if ptr, err = other.Swap(ctx, ptr, []byte("two")); err != nil {
		t.Fatal(err)
	}
	want("two")
	if ptr, err = other.Swap(ctx, ptr, []byte("one")); err != nil {
		t.Fatal(err)
	}
	remembered()
	if err := os.WriteFile(s.path("tags/t", kindPointer), []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Load(ctx, "tags/t"); err == nil {
		t.Error("damage in place is not seen")
	}
	if err := os.WriteFile(s.path("tags/t", kindPointer), encodePointer(ptr), 0o644); err != nil {
		t.Fatal(err)
	}
	remembered()
	if err := other.Delete(ctx, ptr); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Load(ctx, "tags/t"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
}
