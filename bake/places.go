package bake

import (
	"archive/tar"
	"context"
	"fmt"
	"path"
	"strings"

	"kiln/bake/template"
	"kiln/layers"
)

// placed is one entry of a copy layer before its content is looked at.
type placed struct {
	Path   string `json:"path"`
	Source int    `json:"source"` // index of the source file, -1 for a folder above one
}

// places finds where the files of a copy land on what lies below. The answer
// is kept by what it depends on, so that a warm bake reads no path index.
func (b *Builder) places(ctx context.Context, st *state, c *template.Copy, sources []template.File) ([]placed, error) {
	chain, err := chainOf(st.below)
	if err != nil {
		return nil, err
	}
	kinds := make([]string, len(sources))
	for i, f := range sources {
		kinds[i] = string(kindOf(f)) + f.Rel
	}
	k := key("places", chain, c.Target, kinds) + ".json"
	var list []placed
	if b.cache.load(&list, "places", k) {
		return list, nil
	}
	below, err := b.imageIndex(ctx, st.below)
	if err != nil {
		return nil, err
	}
	p := placer{below: below, seen: map[string]bool{}}
	for i, f := range sources {
		if err := p.place(path.Join(c.Target, f.Rel), kindOf(f), i); err != nil {
			return nil, err
		}
	}
	return p.list, b.cache.save(p.list, "places", k)
}

// placer puts files into an image's tree.
type placer struct {
	below *layers.Index
	seen  map[string]bool
	list  []placed
}

// place adds a source at target, and the folders above it that the image
// lacks. A folder that is there, the root above all, keeps its owner and mode.
func (p *placer) place(target string, kind byte, source int) error {
	if target == "/" && kind == tar.TypeDir {
		return nil
	}
	at, err := p.below.Place(strings.TrimPrefix(target, "/"), kind)
	if err != nil {
		return fmt.Errorf("copy to %s: %w", target, err)
	}
	if _, there := p.below.Node(at); there && kind == tar.TypeDir {
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
