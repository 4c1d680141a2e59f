package bake

import (
	"cmp"
	"fmt"
	"slices"

	"kiln/bake/template"
)

// allowNote says of an allowance of the template whether it was ever needed.
type allowNote struct {
	image  string
	reason string
	used   bool
}

// noteAllowed notes which allowances covered a secret of an image. One of
// several images or platforms is enough.
func (b *Builder) noteAllowed(recipe *template.Image, used []int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.allowed == nil {
		b.allowed = map[template.Pos]*allowNote{}
	}
	i := 0
	for im := recipe; im != nil; im = im.From.Image { // as allowances
		for _, a := range im.Scan.Allow {
			note := b.allowed[a.Pos]
			if note == nil {
				note = &allowNote{image: im.Name, reason: a.Reason}
				b.allowed[a.Pos] = note
			}
			note.used = note.used || slices.Contains(used, i)
			i++
		}
	}
}

// idleAllowances say which allowances covered nothing in all images that were
// looked into: they are out of date, or mistaken.
func (b *Builder) idleAllowances() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var idle []template.Pos
	for pos, note := range b.allowed {
		if !note.used {
			idle = append(idle, pos)
		}
	}
	slices.SortFunc(idle, func(a, b template.Pos) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	list := make([]string, len(idle))
	for i, pos := range idle {
		note := b.allowed[pos]
		list[i] = fmt.Sprintf("%s: image %q: scan: allow %q covers nothing that was found: take it out, or correct its path, rule or sha256",
			pos, note.image, note.reason)
	}
	return list
}
