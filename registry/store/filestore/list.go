package filestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kiln/registry/store"
)

// List implements store.Store. Entries of one folder are held in memory.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		w := &walk{s: s, want: kindObject, prefix: prefix, after: after}
		w.visit = func(key string) bool {
			info, err := os.Lstat(s.path(key, kindObject))
			if isAbsent(err) {
				return true // deleted meanwhile
			}
			if err != nil {
				yield(store.Info{}, fmt.Errorf("list %s: %w", prefix, err))
				return false
			}
			return yield(store.Info{Key: key, Size: info.Size(), ModTime: info.ModTime()}, nil)
		}
		if err := w.run(ctx); err != nil {
			yield(store.Info{}, fmt.Errorf("list %s: %w", prefix, err))
		}
	}
}

// List implements store.Pointers.
func (p *Pointers) List(ctx context.Context, prefix, after string) iter.Seq2[store.Pointer, error] {
	return func(yield func(store.Pointer, error) bool) {
		w := &walk{s: p.s, want: kindPointer, prefix: prefix, after: after}
		w.visit = func(name string) bool {
			ptr, err := p.settled(ctx, name)
			if errors.Is(err, store.ErrNotFound) {
				return true // deleted meanwhile
			}
			if err != nil {
				yield(store.Pointer{}, fmt.Errorf("list %s: load %s: %w", prefix, name, err))
				return false
			}
			return yield(ptr, nil)
		}
		if err := w.run(ctx); err != nil {
			yield(store.Pointer{}, fmt.Errorf("list %s: %w", prefix, err))
		}
	}
}

// Names implements store.NameLister.
func (p *Pointers) Names(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		w := &walk{s: p.s, want: kindPointer, prefix: prefix, after: after}
		w.visit = func(name string) bool { return yield(name, nil) }
		if err := w.run(ctx); err != nil {
			yield("", fmt.Errorf("list %s: %w", prefix, err))
		}
	}
}

// walk visits the keys of one kind with a prefix and behind after, in byte order.
type walk struct {
	s             *Store
	want          kind
	prefix, after string
	visit         func(key string) bool // false ends the walk
	unsteady      bool                  // read looked into more than one folder
}

// entry is a file, or a folder, whose key then ends in a slash.
type entry struct {
	key    string
	folder bool
}

var errStop = errors.New("stop")

func (w *walk) run(ctx context.Context) error {
	dir, key := w.s.dir, ""
	if slash := strings.LastIndexByte(w.prefix, '/'); slash > 0 {
		key = w.prefix[:slash+1]
		if store.CheckKey(w.prefix[:slash]) != nil {
			return nil // no key starts like that
		}
		dir = w.s.path(w.prefix[:slash], kindFolder)
	}
	err := w.folder(ctx, dir, key)
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// folder visits what is below dir, whose keys start with key.
func (w *walk) folder(ctx context.Context, dir, key string) error {
	entries, err := w.sorted(dir, key)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch {
		case e.folder:
			if w.mayHold(e.key) {
				if err := w.folder(ctx, w.s.path(strings.TrimSuffix(e.key, "/"), kindFolder), e.key); err != nil {
					return err
				}
			}
		case strings.HasPrefix(e.key, w.prefix) && e.key > w.after:
			if !w.visit(e.key) {
				return errStop
			}
		}
	}
	return nil
}

// sorted reads a folder, or remembers it. A folder sorts as its keys do, with
// the slash: "a-b" < "a/b" < "a0".
func (w *walk) sorted(dir, key string) ([]entry, error) {
	at, steady := folderIdentity(dir)
	id := listingKey{dir, w.want}
	if steady {
		if entries, ok := w.s.listings.get(id, at); ok {
			return entries, nil
		}
	}
	w.unsteady = false
	entries, err := w.read(dir, key)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	if steady && !w.unsteady {
		w.s.listings.put(id, at, entries)
	}
	return entries, nil
}

// mayHold tells whether keys that start with folder can be wanted.
func (w *walk) mayHold(folder string) bool {
	inPrefix := strings.HasPrefix(folder, w.prefix) || strings.HasPrefix(w.prefix, folder)
	passed := folder < w.after && !strings.HasPrefix(w.after, folder)
	return inPrefix && !passed
}

// read lists a folder, with those that continue a long name folded in. A
// folder that is absent is empty.
func (w *walk) read(dir, key string) ([]entry, error) {
	names, err := readDir(dir)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, d := range names {
		if dir == w.s.dir && d.IsDir() && (d.Name() == tmpDir || d.Name() == locksDir) {
			continue
		}
		part, k, ok := parseName(d.Name(), d.IsDir())
		if !ok {
			continue
		}
		switch k {
		case kindContinued:
			w.unsteady = true
			rest, err := w.read(filepath.Join(dir, d.Name()), key+part)
			if err != nil {
				return nil, err
			}
			entries = append(entries, rest...)
		case kindFolder:
			entries = append(entries, entry{key + part + "/", true})
		case w.want:
			entries = append(entries, entry{key + part, false})
		}
	}
	return entries, nil
}

func readDir(dir string) ([]fs.DirEntry, error) {
	f, err := os.Open(dir)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if isAbsent(err) {
		return nil, nil
	}
	return entries, err
}
