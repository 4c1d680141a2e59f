package filestore

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"kiln/registry/store"
)

var _ store.FolderLister = (*Store)(nil)

// Folders implements store.FolderLister. A folder that holds only pointers, or
// nothing any more, is yielded too.
func (s *Store) Folders(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		dir := strings.TrimSuffix(prefix, "/")
		if store.CheckKey(dir) != nil {
			return // no key lies there
		}
		w := &walk{s: s}
		entries, err := w.read(s.path(dir, kindFolder), "")
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			yield("", fmt.Errorf("list %s: %w", prefix, err))
			return
		}
		for _, e := range entries {
			if e.folder && !yield(strings.TrimSuffix(e.key, "/"), nil) {
				return
			}
		}
	}
}
