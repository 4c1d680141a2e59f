package contentstore

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// markState is where a digest stands with the collector; see collect.go.
type markState string

const (
	condemned markState = "condemned"
	deleting  markState = "deleting"
	rescued   markState = "rescued"
)

// mark is the value of the pointer gc/<digest>, as JSON.
type mark struct {
	State markState `json:"state"`
	At    time.Time `json:"at"` // when it took this state, by the clock of who swapped it
	// Keys are the objects, and cosign's tags, that are condemned: links of
	// the digest in some images, entries about it and, where nothing else
	// links it, its bytes. Nothing but them is deleted.
	Keys []string `json:"keys,omitempty"`
}

// maxMarkKeys keeps a mark within store.MaxPointerSize. What is left over is
// condemned when the mark is gone.
const maxMarkKeys = 1000

func markName(d digest.Digest) string { return store.GCPrefix + string(d) }

// touches tells whether a writer to repo has to mind the mark: one that takes
// away links of another image, and no bytes, is none of its business.
func (m mark) touches(repo string) bool {
	prefix := store.ImageKey(repo)
	for _, key := range m.Keys {
		if strings.HasPrefix(key, store.BlobsPrefix) || strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// loadMark reads a mark; of an absent one it returns the pointer to create it.
func (r *Registry) loadMark(ctx context.Context, d digest.Digest) (mark, store.Pointer, error) {
	name := markName(d)
	ptr, err := r.pointers.Load(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return mark{}, store.Absent(name), nil
	}
	if err != nil {
		return mark{}, store.Pointer{}, err
	}
	m, err := parseMark(ptr)
	return m, ptr, err
}

func parseMark(ptr store.Pointer) (mark, error) {
	var m mark
	if err := json.Unmarshal(ptr.Value, &m); err != nil {
		return m, registry.Errorf(registry.CodeCorrupt, "pointer %s is damaged: %w", ptr.Name, err)
	}
	switch m.State {
	case condemned, deleting, rescued:
		return m, nil
	}
	return m, registry.Errorf(registry.CodeCorrupt, "pointer %s has the unknown state %q", ptr.Name, m.State)
}

// swapMark returns store.ErrConflict when the mark is no longer old.
func (r *Registry) swapMark(ctx context.Context, old store.Pointer, m mark) (store.Pointer, error) {
	value, err := json.Marshal(m)
	if err != nil {
		return store.Pointer{}, err
	}
	ptr, err := r.pointers.Swap(ctx, old, value)
	return ptr, coded(err)
}
