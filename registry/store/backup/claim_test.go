package backup_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"kiln/registry/store"
	"kiln/registry/store/backup"
)

// beforeSwap has others go first, once, when a pointer is about to be set.
type beforeSwap struct {
	store.Pointers
	name string
	once *sync.Once
	do   func()
}

func (p beforeSwap) Swap(ctx context.Context, old store.Pointer, next []byte) (store.Pointer, error) {
	if old.Name == p.name {
		p.once.Do(p.do)
	}
	return p.Pointers.Swap(ctx, old, next)
}

// TestClaimRace: of a backup and a server that take the same empty place at
// once one gives way; nothing is ever restored into a live store.
func TestClaimRace(t *testing.T) {
	from := newWorld(t, create)
	from.fill(t)

	to := newWorld(t, bare)
	place := to.place
	place.Pointers = beforeSwap{to.place.Pointers, store.BackupPointer, new(sync.Once), func() {
		if _, err := store.EnsureFormat(t.Context(), to.place.Pointers); err != nil {
			t.Error(err)
		}
	}}
	if _, err := backup.Mirror(t.Context(), from.place, place); !errors.Is(err, backup.ErrTaken) {
		t.Errorf("a store came first: got %v, want ErrTaken", err)
	}
	if _, err := to.place.Pointers.Load(t.Context(), store.BackupPointer); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("its marker stays: %v", err)
	}

	to = newWorld(t, bare)
	late := beforeSwap{to.place.Pointers, store.FormatPointer, new(sync.Once), func() {
		if _, err := backup.Mirror(t.Context(), from.place, to.place); err != nil {
			t.Error(err)
		}
	}}
	if _, err := store.EnsureFormat(t.Context(), late); !errors.Is(err, store.ErrFormat) {
		t.Errorf("a backup came first: got %v, want ErrFormat", err)
	}
	if _, err := to.place.Pointers.Load(t.Context(), store.FormatPointer); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("its format stays: %v", err)
	}
}
