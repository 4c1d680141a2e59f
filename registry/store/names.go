package store

import (
	"context"
	"iter"
)

// NameLister is what Pointers may offer besides: to list names without values.
type NameLister interface {
	// Names yields the names of the pointers that List would yield.
	Names(ctx context.Context, prefix, after string) iter.Seq2[string, error]
}

// Names lists names of any Pointers.
func Names(ctx context.Context, p Pointers, prefix, after string) iter.Seq2[string, error] {
	if l, ok := p.(NameLister); ok {
		return l.Names(ctx, prefix, after)
	}
	return func(yield func(string, error) bool) {
		for ptr, err := range p.List(ctx, prefix, after) {
			if !yield(ptr.Name, err) {
				return
			}
		}
	}
}
