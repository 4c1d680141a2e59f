package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"kiln/registry/store"
)

var _ store.Grouper = (*Store)(nil)

// group puts objects and has their folders fsynced later. Their bytes are
// fsynced before they get their names, as always.
type group struct {
	*Store
	mu     sync.Mutex
	placed []string // paths of files whose folder is not fsynced yet
}

// Group implements store.Grouper.
func (s *Store) Group() (store.Store, func(context.Context) error) {
	g := &group{Store: s}
	return g, g.settle
}

// Put implements store.Store, up to the fsync of the folder.
func (g *group) Put(ctx context.Context, key string, r io.Reader) error {
	if err := g.put(ctx, key, r, g.later); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

// Copy implements store.Copier, up to the fsync of the folder.
func (g *group) Copy(ctx context.Context, from, to string) error {
	if err := errors.Join(store.CheckKey(from), store.CheckKey(to), ctx.Err()); err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	if err := g.copy(ctx, from, to, g.later); err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return nil
}

func (g *group) later(path string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.placed = append(g.placed, path)
	return nil
}

// settle fsyncs the folders side by side: where there is a journal one commit
// serves them all, while each fsync behind another would flush the disk anew.
func (g *group) settle(context.Context) error {
	g.mu.Lock()
	placed := g.placed
	g.placed = nil
	g.mu.Unlock()
	errs := make([]error, len(placed))
	var wg sync.WaitGroup
	for i, path := range placed {
		if i == len(placed)-1 {
			errs[i] = g.syncPlaced(path)
			break
		}
		wg.Go(func() { errs[i] = g.syncPlaced(path) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
