package contentstore_test

import (
	"bytes"
	"context"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"kiln/registry/store"
)

// memory is a store whose clock stands until it is moved, and whose every step
// can be failed or held up.
type memory struct {
	mu       sync.Mutex
	now      time.Time
	objects  map[string]memoryObject
	pointers map[string]store.Pointer
	revision int
	page     int // where listings end, if not 0
	// hook is called before each step with its name and key, without a lock.
	hook func(ctx context.Context, op, key string) error
}

type memoryObject struct {
	data []byte
	at   time.Time
}

func newMemory() *memory {
	return &memory{now: noon, objects: map[string]memoryObject{}, pointers: map[string]store.Pointer{}}
}

func (m *memory) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *memory) pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
}

func (m *memory) step(ctx context.Context, op, key string) error {
	m.mu.Lock()
	hook := m.hook
	m.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, op, key); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (m *memory) setHook(f func(ctx context.Context, op, key string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = f
}

func (m *memory) Put(ctx context.Context, key string, r io.Reader) error {
	if err := m.step(ctx, "put", key); err != nil {
		return err
	}
	m.mu.Lock()
	_, there := m.objects[key]
	m.mu.Unlock()
	if there {
		return nil
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.objects[key]; !there {
		m.objects[key] = memoryObject{data, m.now}
	}
	return nil
}

func (m *memory) Copy(ctx context.Context, from, to string) error {
	if err := m.step(ctx, "put", to); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[from]
	if !ok {
		return store.ErrNotFound
	}
	if _, there := m.objects[to]; !there {
		m.objects[to] = memoryObject{o.data, m.now}
	}
	return nil
}

func (m *memory) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := m.step(ctx, "open", key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return nil, store.ErrNotFound
	}
	data := o.data[min(offset, int64(len(o.data))):]
	if length >= 0 && length < int64(len(data)) {
		data = data[:length]
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (m *memory) Stat(ctx context.Context, key string) (store.Info, error) {
	if err := m.step(ctx, "stat", key); err != nil {
		return store.Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return store.Info{}, store.ErrNotFound
	}
	return store.Info{Key: key, Size: int64(len(o.data)), ModTime: o.at}, nil
}

func (m *memory) Delete(ctx context.Context, key string) error {
	if err := m.step(ctx, "delete", key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}

// List looks for each next key anew, as a listing in pages does.
func (m *memory) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for i, key := range m.names(prefix, after, false) {
			if m.page > 0 && i == m.page {
				return
			}
			if err := m.step(ctx, "list", key); err != nil {
				if err != errEnd {
					yield(store.Info{}, err)
				}
				return
			}
			m.mu.Lock()
			o, ok := m.objects[key]
			m.mu.Unlock()
			if ok && !yield(store.Info{Key: key, Size: int64(len(o.data)), ModTime: o.at}, nil) {
				return
			}
		}
	}
}

// errEnd makes a listing end early, as if nothing followed.
var errEnd = io.EOF

func (m *memory) names(prefix, after string, pointers bool) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	add := func(name string) {
		if strings.HasPrefix(name, prefix) && name > after {
			names = append(names, name)
		}
	}
	if pointers {
		for name := range m.pointers {
			add(name)
		}
	} else {
		for name := range m.objects {
			add(name)
		}
	}
	slices.Sort(names)
	return names
}

// memoryPointers is the other half.
type memoryPointers struct{ m *memory }

func (p memoryPointers) Load(ctx context.Context, name string) (store.Pointer, error) {
	if err := p.m.step(ctx, "load", name); err != nil {
		return store.Pointer{}, err
	}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	ptr, ok := p.m.pointers[name]
	if !ok {
		return store.Pointer{}, store.ErrNotFound
	}
	return ptr, nil
}

func (p memoryPointers) Swap(ctx context.Context, old store.Pointer, next []byte) (store.Pointer, error) {
	if err := p.m.step(ctx, "swap", old.Name); err != nil {
		return store.Pointer{}, err
	}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if p.m.pointers[old.Name].Revision != old.Revision {
		return store.Pointer{}, store.ErrConflict
	}
	p.m.revision++
	ptr := store.Pointer{Name: old.Name, Value: bytes.Clone(next), Revision: strconv.Itoa(p.m.revision)}
	p.m.pointers[old.Name] = ptr
	return ptr, nil
}

func (p memoryPointers) Delete(ctx context.Context, old store.Pointer) error {
	if err := p.m.step(ctx, "unset", old.Name); err != nil {
		return err
	}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if p.m.pointers[old.Name].Revision != old.Revision {
		return store.ErrConflict
	}
	delete(p.m.pointers, old.Name)
	return nil
}

func (p memoryPointers) List(ctx context.Context, prefix, after string) iter.Seq2[store.Pointer, error] {
	return func(yield func(store.Pointer, error) bool) {
		for i, name := range p.m.names(prefix, after, true) {
			if p.m.page > 0 && i == p.m.page {
				return
			}
			if err := p.m.step(ctx, "listed", name); err != nil {
				if err != errEnd {
					yield(store.Pointer{}, err)
				}
				return
			}
			p.m.mu.Lock()
			ptr, ok := p.m.pointers[name]
			p.m.mu.Unlock()
			if ok && !yield(ptr, nil) {
				return
			}
		}
	}
}
