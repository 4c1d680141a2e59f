package template

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// imageReader is a step that reads images besides what lies below it.
type imageReader interface {
	Step
	// froms are those images; the loader links the ones of the recipe.
	froms() []*From
}

// Reads are the images that steps of im read, of the recipe or from outside,
// in the order of the steps.
func (im *Image) Reads() []*From {
	var list []*From
	for _, step := range im.Steps {
		if r, ok := step.(imageReader); ok {
			list = append(list, r.froms()...)
		}
	}
	return list
}

// Needs are the images of the recipe that im is made from or reads, without
// repeats, the parent first. They are built before im.
func (im *Image) Needs() []*Image {
	var list []*Image
	for _, f := range append([]*From{&im.From}, im.Reads()...) {
		if f.Image != nil && !slices.Contains(list, f.Image) {
			list = append(list, f.Image)
		}
	}
	return list
}

// needs are the images of the recipe that im names, not yet linked. at is where
// its parent is written.
func needs(im *Image, at hcl.Range, where string) []need {
	var list []need
	add := func(f *From, rng hcl.Range) {
		if f.ref != "" {
			list = append(list, need{from: f, name: f.ref, rng: rng, where: where})
		}
	}
	add(&im.From, at)
	for _, step := range im.Steps {
		if r, ok := step.(imageReader); ok {
			for _, f := range r.froms() {
				add(f, hcl.Range{Start: hcl.Pos{Line: step.Position().Line}})
			}
		}
	}
	return list
}

// Moves says whether the reference can come to stand for another image: a
// channel or a tag does.
func (f From) Moves() bool {
	return f.Kind == FromChannel || f.Kind == FromRemote && f.Digest == ""
}

// Moving are the references of steps to what can change under its name:
// channels and tags. A lock says what each stands for.
func (im *Image) Moving() []string {
	var list []string
	for _, f := range im.Reads() {
		if f.Moves() {
			list = append(list, f.String())
		}
	}
	for _, g := range im.Repositories() {
		list = append(list, g.Key())
	}
	if len(im.Programs()) > 0 {
		list = append(list, "go")
	}
	slices.Sort(list)
	return slices.Compact(list)
}
