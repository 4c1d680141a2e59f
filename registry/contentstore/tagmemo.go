package contentstore

import (
	"sync"

	"kiln/registry/store"
)

// tagMemo remembers what values of tag pointers say, by their bytes: a tag is
// loaded from the store each time it is asked for, and parsed once. Safe for
// concurrent use.
type tagMemo struct {
	mu     sync.RWMutex
	values map[string]tagValue
}

// Bounds of the memory: values, and bytes of one.
const (
	maxTagMemo   = 1 << 12
	maxTagLength = 1 << 9
)

// tag is parseTag.
func (m *tagMemo) tag(ptr store.Pointer) (tagValue, error) {
	m.mu.RLock()
	t, ok := m.values[string(ptr.Value)]
	m.mu.RUnlock()
	if ok {
		return t, nil
	}
	t, err := parseTag(ptr)
	if err != nil || len(ptr.Value) > maxTagLength {
		return t, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil || len(m.values) >= maxTagMemo {
		m.values = map[string]tagValue{}
	}
	m.values[string(ptr.Value)] = t
	return t, nil
}
