package filestore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"kiln/registry/store"
)

// Pointers is the store.Pointers of a Store.
type Pointers struct{ s *Store }

var _ store.Pointers = (*Pointers)(nil)

// Pointers returns the mutable half of the store.
func (s *Store) Pointers() *Pointers { return &Pointers{s} }

// Load implements store.Pointers.
func (p *Pointers) Load(ctx context.Context, name string) (store.Pointer, error) {
	if err := errors.Join(store.CheckKey(name), ctx.Err()); err != nil {
		return store.Pointer{}, fmt.Errorf("load %s: %w", name, err)
	}
	ptr, err := p.settled(ctx, name)
	if err != nil {
		return store.Pointer{}, fmt.Errorf("load %s: %w", name, err)
	}
	return ptr, nil
}

// settled loads a pointer whose value will last.
func (p *Pointers) settled(ctx context.Context, name string) (store.Pointer, error) {
	path := p.s.path(name, kindPointer)
	if !p.s.doubts.about(path) {
		if ptr, ok := p.s.memo.get(name, path); ok {
			return ptr, nil
		}
		return p.load(name)
	}
	unlock, err := p.s.lock(ctx, name)
	if err != nil {
		return store.Pointer{}, err
	}
	defer unlock()
	return p.loadLocked(ctx, name)
}

func (p *Pointers) loadLocked(ctx context.Context, name string) (store.Pointer, error) {
	if err := p.s.renew(ctx, p.s.path(name, kindPointer)); err != nil {
		return store.Pointer{}, err
	}
	return p.load(name)
}

// load reads a pointer from its file, as whoever swaps it must.
func (p *Pointers) load(name string) (store.Pointer, error) {
	data, at, err := readSmall(p.s.path(name, kindPointer))
	if err != nil {
		return store.Pointer{}, notFound(err)
	}
	revision, value, err := decodePointer(data)
	if err != nil && lossy(name) {
		return store.Pointer{Name: name, Revision: tornRevision}, nil
	}
	ptr := store.Pointer{Name: name, Value: value, Revision: revision}
	if err == nil && !lossy(name) {
		p.s.memo.put(ptr, at)
	}
	return ptr, err
}

// Swap implements store.Pointers.
func (p *Pointers) Swap(ctx context.Context, old store.Pointer, next []byte) (store.Pointer, error) {
	ptr, err := p.swap(ctx, old, next)
	if err != nil {
		return store.Pointer{}, fmt.Errorf("swap %s: %w", old.Name, err)
	}
	return ptr, nil
}

func (p *Pointers) swap(ctx context.Context, old store.Pointer, next []byte) (store.Pointer, error) {
	if len(next) > store.MaxPointerSize {
		return store.Pointer{}, fmt.Errorf("value has %d bytes, at most %d", len(next), store.MaxPointerSize)
	}
	unlock, err := p.lockAt(ctx, old)
	if err != nil {
		return store.Pointer{}, err
	}
	defer unlock()
	ptr := store.Pointer{Name: old.Name, Value: bytes.Clone(next), Revision: nonce()}
	path := p.s.path(old.Name, kindPointer)
	temp, f, err := p.s.writeTemp(ctx, bytes.NewReader(encodePointer(ptr)), path)
	if err != nil {
		return store.Pointer{}, err
	}
	move := p.s.disk.Place
	if old.Exists() {
		move = p.s.disk.Rename
	}
	if err := p.s.place(temp, path, move); err != nil {
		p.s.discard(temp, f)
		if errors.Is(err, fs.ErrExist) {
			return store.Pointer{}, store.ErrConflict
		}
		return store.Pointer{}, err
	}
	_ = f.Close() // its bytes are fsynced
	return ptr, nil
}

// Delete implements store.Pointers.
func (p *Pointers) Delete(ctx context.Context, old store.Pointer) error {
	unlock, err := p.lockAt(ctx, old)
	if err != nil {
		return fmt.Errorf("delete %s: %w", old.Name, err)
	}
	defer unlock()
	if err := p.s.remove(p.s.path(old.Name, kindPointer)); err != nil {
		return fmt.Errorf("delete %s: %w", old.Name, err)
	}
	return nil
}

// lockAt locks the pointer if it still is what the caller read.
func (p *Pointers) lockAt(ctx context.Context, old store.Pointer) (unlock func(), err error) {
	if err := errors.Join(store.CheckKey(old.Name), ctx.Err()); err != nil {
		return nil, err
	}
	unlock, err = p.s.lock(ctx, old.Name)
	if err != nil {
		return nil, err
	}
	now, err := p.loadLocked(ctx, old.Name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		unlock()
		return nil, err
	}
	if now.Revision != old.Revision {
		unlock()
		return nil, store.ErrConflict
	}
	return unlock, nil
}

const pointerMagic = "kiln-pointer/1"

// encodePointer writes "kiln-pointer/1 REVISION SHA256\n" and the value.
func encodePointer(ptr store.Pointer) []byte {
	head := fmt.Sprintf("%s %s %x\n", pointerMagic, ptr.Revision, sha256.Sum256(ptr.Value))
	return append([]byte(head), ptr.Value...)
}

func decodePointer(data []byte) (revision string, value []byte, err error) {
	head, value, ok := bytes.Cut(data, []byte("\n"))
	fields := bytes.Split(head, []byte(" "))
	if !ok || len(fields) != 3 || string(fields[0]) != pointerMagic || len(fields[1]) == 0 {
		return "", nil, errors.New("pointer file is damaged: no valid first line; restore it from a backup")
	}
	if sum := sha256.Sum256(value); hex.EncodeToString(sum[:]) != string(fields[2]) {
		return "", nil, errors.New("pointer file is damaged: value does not match its hash; restore it from a backup")
	}
	return string(fields[1]), value, nil
}
