package bake

import (
	"archive/tar"
	"context"
	"fmt"
	"path"
	"strings"

	"kiln/layers"
)

// placed is one entry of a content layer before its content is looked at.
type placed struct {
	Path   string `json:"path"`
	Source int    `json:"source"` // index of the item, -1 for a folder above one
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
	k := key("places", chain, kinds) + ".json"
	var list []placed
	if b.cache.load(&list, "places", k) {
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
	if !b.sure() {
		return p.list, nil
	}
	return p.list, b.cache.save(p.list, "places", k)
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
	p.add(placed{at, source})
	return nil
}

// parents declares the folders that neither the image nor this layer has.
func (p *placer) parents(dir string) {
	if dir == "." || p.seen[dir] {
		return
	}
	if _, there := p.below.Node(dir); there {
		return
	}
	p.parents(path.Dir(dir))
	p.add(placed{dir, -1})
}

func (p *placer) add(e placed) {
	if p.seen[e.Path] {
		return
	}
	p.seen[e.Path] = true
	p.list = append(p.list, e)
}
