package bake

import (
	"archive/tar"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"kiln/layers"
)

// placed is one entry of a content layer before its content is looked at.
type placed struct {
	Path   string `json:"path"`
	Source int    `json:"source"` // index of the item, -1 for a folder above one
	// Kept is a folder on the way that the image has and a layer must not imply.
	Kept *layers.Node `json:"kept,omitempty"`
}

// places finds where items land on what lies below. The answer is kept by
// what it depends on, so that a warm bake reads no path index.
func (b *Builder) places(ctx context.Context, st *state, items []item) ([]placed, error) {
	chain, err := chainOf(st.below)
	if err != nil {
		return nil, err
	}
	kinds := make([]string, len(items))
	for i, it := range items {
		kinds[i] = string(it.Kind) + it.Target
		if it.Declared {
			kinds[i] = "+" + kinds[i]
		}
	}
	k := key("places and folders", chain, kinds)
	var list []placed
	if b.answer(ctx, &list, chain, "places", k) {
		return list, nil
	}
	below, err := b.imageIndex(ctx, st.below)
	if err != nil {
		return nil, err
	}
	p := placer{below: below, seen: map[string]bool{}}
	for i, it := range items {
		if err := p.place(it, i); err != nil {
			return nil, err
		}
	}
	return p.list, b.keepAnswer(ctx, p.list, chain, "places", k)
}

// placer puts files into an image's tree.
type placer struct {
	below *layers.Index
	seen  map[string]bool
	list  []placed
}

// place adds an item at its target, and the folders above it that the image
// lacks. A folder that is there, the root above all, keeps its owner and mode
// unless the item declares them.
func (p *placer) place(it item, source int) error {
	if it.Target == "/" && it.Kind == tar.TypeDir {
		return nil
	}
	at, err := p.below.Place(strings.TrimPrefix(it.Target, "/"), it.Kind)
	if err != nil {
		return fmt.Errorf("copy to %s: %w", it.Target, err)
	}
	if _, there := p.below.Node(at); there && it.Kind == tar.TypeDir && !it.Declared {
		return nil
	}
	p.parents(path.Dir(at))
	p.add(placed{Path: at, Source: source})
	return nil
}

// parents declares the folders that neither the image nor this layer has, and
// those that must not be implied.
func (p *placer) parents(dir string) {
	if dir == "." || p.seen[dir] {
		return
	}
	p.parents(path.Dir(dir))
	n, there := p.below.Node(dir)
	switch {
	case !there:
		p.add(placed{Path: dir, Source: -1})
	case !n.AsImplied():
		p.add(placed{Path: dir, Source: -1, Kept: &layers.Node{Mode: n.Mode, UID: n.UID, GID: n.GID}})
	}
}

func (p *placer) add(e placed) {
	if p.seen[e.Path] {
		p.declare(e)
		return
	}
	p.seen[e.Path] = true
	p.list = append(p.list, e)
}

// declare puts an item in place of a folder that was listed for what is in it.
func (p *placer) declare(e placed) {
	if e.Source < 0 {
		return
	}
	if i := slices.IndexFunc(p.list, func(l placed) bool { return l.Path == e.Path && l.Kept != nil }); i >= 0 {
		p.list[i] = e
	}
}
