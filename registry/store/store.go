// Package store defines the two kinds of state that kiln has: immutable
// objects (Store) and small values moved by compare-and-swap (Pointers). All
// of kiln runs on these two, so a folder or any S3 service with conditional
// writes will do, with any number of processes and no coordinator.
//
// Keys are slash-separated, valid UTF-8, at most MaxKeyLength bytes, without
// empty, "." or ".." components. Every implementation passes storetest.
package store

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// MaxKeyLength bounds a key, in bytes.
const MaxKeyLength = 900

// MaxPointerSize bounds a pointer's value, in bytes.
const MaxPointerSize = 1 << 20

var (
	// ErrNotFound: no object or pointer has that name. Callers report absence.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the pointer is not what the caller read. Load and decide again.
	ErrConflict = errors.New("conflict")
	// ErrReadOnly: the medium takes no writes. Nothing was written.
	ErrReadOnly = errors.New("store is read-only")
	// ErrFull: the medium has no room left (bytes, inodes or quota). Nothing
	// was written; writes succeed again once there is room.
	ErrFull = errors.New("store is full")
	// ErrInvalidKey: the key breaks the rules in the package comment.
	ErrInvalidKey = errors.New("invalid key")
)

// Info describes an object.
type Info struct {
	Key     string
	Size    int64 // bytes
	ModTime time.Time
}

// Store holds write-once objects. Safe for concurrent use, also by several
// processes.
type Store interface {
	// Put makes r's bytes visible under key: whole and durable, or not at
	// all. An existing object is kept and r may be left unread: what lies
	// under a key never changes, so callers put the same bytes again freely.
	// An error of r aborts and leaves nothing.
	Put(ctx context.Context, key string, r io.Reader) error
	// Open reads length bytes from offset; a negative length reads to the
	// end. ErrNotFound if absent. An offset behind the end reads nothing.
	Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	// Stat returns ErrNotFound if absent.
	Stat(ctx context.Context, key string) (Info, error)
	// List yields the objects whose key starts with prefix and is greater
	// than after, in byte order. It ends after its first error.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]
	// Delete removes an object; an absent one is fine.
	Delete(ctx context.Context, key string) error
}

// Pointer is a value as it was read: what Swap compares against. Revision is
// opaque; "" means that the pointer is absent.
type Pointer struct {
	Name     string
	Value    []byte
	Revision string
}

// Absent is the Pointer to give Swap to create name.
func Absent(name string) Pointer { return Pointer{Name: name} }

// Exists tells a pointer that was read from an absent one.
func (p Pointer) Exists() bool { return p.Revision != "" }

// Pointers is the only mutable state. Each pointer is linearizable. Safe for
// concurrent use, also by several processes.
type Pointers interface {
	// Load returns ErrNotFound if absent.
	Load(ctx context.Context, name string) (Pointer, error)
	// Swap replaces old by next, durably, or returns ErrConflict when the
	// pointer is no longer old. After another error the swap may or may not
	// have happened.
	Swap(ctx context.Context, old Pointer, next []byte) (Pointer, error)
	// List yields pointers whose name starts with prefix and is greater than
	// after, in byte order.
	List(ctx context.Context, prefix, after string) iter.Seq2[Pointer, error]
	// Delete removes old, or returns ErrConflict when it moved.
	Delete(ctx context.Context, old Pointer) error
}
