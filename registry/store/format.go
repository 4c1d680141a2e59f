package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// LayoutVersion is the layout that layout.go describes.
const LayoutVersion = 1

// Format is what the pointer FormatPointer holds, as JSON.
type Format struct {
	Layout  int    `json:"layout"`
	StoreID string `json:"store_id"` // 32 hex digits, random, for the store's life
}

// ErrFormat: the store is of another layout, or none of kiln's. Use the kiln
// that wrote it.
var ErrFormat = errors.New("unknown store format")

// ReadFormat reads a store's format. ErrNotFound if there is none yet,
// ErrFormat if this code does not know it.
func ReadFormat(ctx context.Context, p Pointers) (Format, error) {
	ptr, err := p.Load(ctx, FormatPointer)
	if err != nil {
		return Format{}, fmt.Errorf("read store format: %w", err)
	}
	return parseFormat(ptr.Value)
}

// EnsureFormat reads a store's format and writes it first where there is none.
// ErrFormat where a backup is kept.
// Of several that try at once one wins, and all get the same answer.
func EnsureFormat(ctx context.Context, p Pointers) (Format, error) {
	f, err := ReadFormat(ctx, p)
	if !errors.Is(err, ErrNotFound) {
		return f, err
	}
	if err := checkNoBackup(ctx, p); err != nil {
		return Format{}, err
	}
	id := make([]byte, 16)
	rand.Read(id) // never fails
	f = Format{Layout: LayoutVersion, StoreID: hex.EncodeToString(id)}
	value, err := json.Marshal(f)
	if err != nil {
		return Format{}, err
	}
	ptr, err := p.Swap(ctx, Absent(FormatPointer), value)
	switch {
	case errors.Is(err, ErrConflict):
		return ReadFormat(ctx, p)
	case err != nil:
		return Format{}, fmt.Errorf("write store format: %w", err)
	}
	// A backup that began meanwhile looks for the format behind its marker: one
	// of the two gives way.
	if err := checkNoBackup(ctx, p); err != nil {
		return Format{}, errors.Join(err, p.Delete(ctx, ptr))
	}
	return f, nil
}

// checkNoBackup is ErrFormat where a backup is kept.
func checkNoBackup(ctx context.Context, p Pointers) error {
	_, err := p.Load(ctx, BackupPointer)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%w: it holds a backup, or a store that is not restored to its end", ErrFormat)
	}
	return err
}

func parseFormat(value []byte) (Format, error) {
	var f Format
	if err := json.Unmarshal(value, &f); err != nil {
		return Format{}, fmt.Errorf("%w: %v", ErrFormat, err)
	}
	if f.Layout != LayoutVersion || f.StoreID == "" {
		return Format{}, fmt.Errorf("%w: layout %d, this kiln knows %d", ErrFormat, f.Layout, LayoutVersion)
	}
	return f, nil
}
