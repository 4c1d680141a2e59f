package promotion

import (
	"context"
	"fmt"
	"io"
	"strings"

	"kiln/registry/store"
)

// unkept is a store that takes no object whose key has a part.
type unkept struct {
	store.Store
	part string
}

func (u *unkept) Put(ctx context.Context, key string, r io.Reader) error {
	if strings.Contains(key, u.part) {
		return fmt.Errorf("%s: no room: %w", key, store.ErrFull)
	}
	return u.Store.Put(ctx, key, r)
}
