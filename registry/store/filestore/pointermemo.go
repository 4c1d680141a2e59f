package filestore

import (
	"bytes"
	"sync"

	"kiln/registry/store"

	"golang.org/x/sys/unix"
)

// pointerMemo remembers small pointers by the files that they were read from.
// A pointer is a new file each time it moves, so one whose file still lies
// there as it did when it was read needs not be read again: whoever moves or
// deletes it, in whatever process, is seen at once. Safe for concurrent use;
// the zero value is empty.
type pointerMemo struct {
	mu   sync.RWMutex
	kept map[string]keptPointer // by name
}

type keptPointer struct {
	at  identity
	ptr store.Pointer // nobody changes it
}

// Bounds of the memory: pointers, and bytes of one's value.
const (
	maxMemo       = 1 << 12
	maxMemoLength = 1 << 9
)

// get returns a pointer whose file, at path, has not changed.
func (m *pointerMemo) get(name, path string) (store.Pointer, bool) {
	m.mu.RLock()
	kept, ok := m.kept[name]
	m.mu.RUnlock()
	if !ok {
		return store.Pointer{}, false
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil || identityOf(&st) != kept.at {
		return store.Pointer{}, false // reading it will tell
	}
	ptr := kept.ptr
	ptr.Value = bytes.Clone(ptr.Value) // for the caller to keep
	return ptr, true
}

// put remembers ptr, unless its file was without an identity.
func (m *pointerMemo) put(ptr store.Pointer, at identity) {
	if at == (identity{}) || len(ptr.Value) > maxMemoLength {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil || len(m.kept) >= maxMemo {
		m.kept = map[string]keptPointer{}
	}
	ptr.Value = bytes.Clone(ptr.Value)
	m.kept[ptr.Name] = keptPointer{at, ptr}
}
