package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

const (
	writers   = 8       // small objects that are written at once
	smallBlob = 1 << 20 // bytes
)

// placeSink writes to where a store can be.
type placeSink struct {
	to    Place
	mu    sync.Mutex
	there map[string]bool // what it holds
	seen  map[string]bool // what the store holds
	group *errgroup.Group
}

func newPlaceSink(ctx context.Context, to Place) (*placeSink, error) {
	s := &placeSink{to: to, there: map[string]bool{}, seen: map[string]bool{}, group: newGroup()}
	for info, err := range to.Objects.List(ctx, "", "") {
		if err != nil {
			return nil, err
		}
		s.there[info.Key] = true
	}
	return s, nil
}

func newGroup() *errgroup.Group {
	g := new(errgroup.Group)
	g.SetLimit(writers)
	return g
}

func (s *placeSink) wants(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[key] = true
	return !s.there[key]
}

func (s *placeSink) put(ctx context.Context, key string, r io.Reader) error {
	err := s.to.Objects.Put(ctx, key, r)
	if err == nil {
		s.mu.Lock()
		s.there[key] = true
		s.mu.Unlock()
	}
	return err
}

func (s *placeSink) blob(ctx context.Context, d digest.Digest, size int64, r io.Reader) error {
	v := newVerifiedReader(r, d, size)
	if size > smallBlob {
		if err := s.put(ctx, store.BlobKey(d), v); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, v) // an object that was there is not read
		return err
	}
	data, err := io.ReadAll(v)
	if err != nil {
		return err
	}
	return s.entry(ctx, store.BlobKey(d), data)
}

func (s *placeSink) entry(ctx context.Context, key string, data []byte) error {
	s.group.Go(func() error { return s.put(ctx, key, bytes.NewReader(data)) })
	return ctx.Err()
}

func (s *placeSink) flush(context.Context) error {
	err := s.group.Wait()
	s.group = newGroup()
	return err
}

// claim makes a place one that holds what want says, and nothing else. It
// returns the marker.
func claim(ctx context.Context, to Place, want head) (store.Pointer, head, error) {
	if _, err := to.Pointers.Load(ctx, store.FormatPointer); !errors.Is(err, store.ErrNotFound) {
		if err == nil {
			err = fmt.Errorf("%w: it is a store", ErrTaken)
		}
		return store.Pointer{}, head{}, err
	}
	have, ptr, err := readMarker(ctx, to.Pointers)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return store.Pointer{}, head{}, err
	case have.StoreID != want.StoreID || have.Restoring != want.Restoring:
		return store.Pointer{}, head{}, fmt.Errorf("%w: it holds a backup of store %s, or a restored part of one", ErrTaken, have.StoreID)
	default:
		return ptr, have, nil
	}
	if err := checkEmpty(ctx, to); err != nil {
		return store.Pointer{}, head{}, err
	}
	ptr, err = swapMarker(ctx, to.Pointers, store.Absent(store.BackupPointer), want)
	if err != nil {
		return ptr, want, err
	}
	// Whoever makes a store writes the format and then looks for the marker
	// again: one of the two gives way.
	_, err = to.Pointers.Load(ctx, store.FormatPointer)
	if errors.Is(err, store.ErrNotFound) {
		return ptr, want, nil
	}
	if err == nil {
		err = fmt.Errorf("%w: it has just become a store", ErrTaken)
	}
	return ptr, want, errors.Join(err, to.Pointers.Delete(ctx, ptr))
}

func readMarker(ctx context.Context, p store.Pointers) (head, store.Pointer, error) {
	ptr, err := p.Load(ctx, store.BackupPointer)
	if err != nil {
		return head{}, ptr, err
	}
	var h head
	if err := json.Unmarshal(ptr.Value, &h); err != nil || h.Schema != Schema {
		return head{}, ptr, fmt.Errorf("%w: its marker is of schema %q", ErrDamaged, h.Schema)
	}
	return h, ptr, nil
}

func swapMarker(ctx context.Context, p store.Pointers, old store.Pointer, h head) (store.Pointer, error) {
	value, err := json.Marshal(h)
	if err != nil {
		return store.Pointer{}, err
	}
	return p.Swap(ctx, old, value)
}

func checkEmpty(ctx context.Context, to Place) error {
	for info, err := range to.Objects.List(ctx, "", "") {
		if err == nil {
			err = fmt.Errorf("%w: it has the object %s", ErrTaken, info.Key)
		}
		return err
	}
	for ptr, err := range to.Pointers.List(ctx, "", "") {
		if err == nil {
			err = fmt.Errorf("%w: it has the pointer %s", ErrTaken, ptr.Name)
		}
		return err
	}
	return nil
}

// setPointer makes a pointer have a value, whatever it was.
func setPointer(ctx context.Context, p store.Pointers, name string, value []byte) error {
	old, err := p.Load(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		old, err = store.Absent(name), nil
	}
	if err != nil || old.Exists() && bytes.Equal(old.Value, value) {
		return err
	}
	_, err = p.Swap(ctx, old, value)
	return err
}

// setPointers writes pointers, in their order among prefixes: what names
// comes after what is named.
func setPointers(ctx context.Context, p store.Pointers, list []store.Pointer) error {
	group := newGroup()
	last := ""
	for _, ptr := range list {
		if kind := imageKind(ptr.Name); kind != last {
			if err := group.Wait(); err != nil {
				return err
			}
			group, last = newGroup(), kind
		}
		group.Go(func() error { return setPointer(ctx, p, ptr.Name, ptr.Value) })
		if err := ctx.Err(); err != nil {
			break
		}
	}
	return errors.Join(group.Wait(), ctx.Err())
}

// finish makes a restored place a store: the format comes last.
func finish(ctx context.Context, to Place, marker store.Pointer, storeID string) error {
	value, err := json.Marshal(store.Format{Layout: store.LayoutVersion, StoreID: storeID})
	if err != nil {
		return err
	}
	if _, err := to.Pointers.Swap(ctx, store.Absent(store.FormatPointer), value); err != nil {
		return err
	}
	return to.Pointers.Delete(ctx, marker)
}

func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
