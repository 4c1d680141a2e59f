package store

import (
	"context"
	"iter"
	"strings"
)

// FolderLister is what a Store may offer besides: to list folders without
// what is in them.
type FolderLister interface {
	// Folders yields every component that follows prefix, which ends in a
	// slash, in the key of an object that lies deeper: each once, in no
	// particular order. It may yield some that hold no object.
	Folders(ctx context.Context, prefix string) iter.Seq2[string, error]
}

// Folders lists folders of any Store. Where the store has no better way it
// costs one List for each. Callers check what they find: see FolderLister.
func Folders(ctx context.Context, s Store, prefix string) iter.Seq2[string, error] {
	if l, ok := s.(FolderLister); ok {
		return l.Folders(ctx, prefix)
	}
	return func(yield func(string, error) bool) {
		after := ""
		for {
			name, deeper, err := next(ctx, s, prefix, after)
			switch {
			case err != nil:
				yield("", err)
				return
			case name == "":
				return
			case !deeper:
				after = prefix + name
				continue
			}
			after = prefix + name + "0" // '0' follows '/': behind all that lies in it
			if !yield(name, nil) {
				return
			}
		}
	}
}

// next finds the first object behind after, and whether it lies in a folder.
func next(ctx context.Context, s Store, prefix, after string) (name string, deeper bool, err error) {
	for info, err := range s.List(ctx, prefix, after) {
		if err != nil {
			return "", false, err
		}
		name, _, deeper = strings.Cut(strings.TrimPrefix(info.Key, prefix), "/")
		break
	}
	return name, deeper, nil
}
