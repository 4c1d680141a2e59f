package bake

import (
	"context"

	"kiln/bake/template"
)

// contents is what a content step puts into the image and what that was made
// from.
type contents struct {
	items  []item
	inputs []Input
	// load brings the items' content to where they are opened: below dir, which
	// goes with the layer, or in the cache. It runs only when the layer is made;
	// nil if there is nothing to do.
	load func(ctx context.Context, dir string) error
}

// gatherer finds the contents of a content step. While the builder plans it
// neither fetches nor compiles: errMiss.
type gatherer func(ctx context.Context) (contents, error)

// gatherer is how a step of an image finds its contents; nil for a step that
// has none. ahead says that this may run before the images below are built, in
// a context that ends before the contents are read.
func (b *Builder) gatherer(recipe *template.Image, s template.Step) (g gatherer, ahead bool) {
	switch s := s.(type) {
	case *template.Copy:
		return func(context.Context) (contents, error) { return b.copyContents(s) }, true
	case *template.ImageCopy:
		return func(ctx context.Context) (contents, error) { return b.imageContents(ctx, recipe, s) }, false
	case recordedContent:
		b.give(s.rec)
		return func(ctx context.Context) (contents, error) { return b.recordedContents(ctx, s) }, false
	case *template.Fetch:
		return func(ctx context.Context) (contents, error) { return b.fetchContents(ctx, recipe, s) }, true
	case *template.Git:
		return func(ctx context.Context) (contents, error) { return b.gitContents(ctx, recipe, s) }, true
	case *template.Go:
		return func(ctx context.Context) (contents, error) { return b.goContents(ctx, recipe, s) }, true
	}
	return nil, false
}

// contentMaker makes a step of what g finds. What prepare found is used once.
func (b *Builder) contentMaker(g gatherer) (prepare func(context.Context) error, place maker) {
	var found *contents
	prepare = func(ctx context.Context) error {
		c, err := g(ctx)
		if err == nil {
			found = &c
		}
		return err
	}
	return prepare, func(ctx context.Context, st *state, name string) (StepResult, error) {
		if found == nil {
			if err := prepare(ctx); err != nil {
				return StepResult{Step: name, Kind: ContentStep}, err
			}
		}
		c := *found
		found = nil
		st.result.Inputs = append(st.result.Inputs, c.inputs...)
		return b.contentStepOf(ctx, st, name, c)
	}
}
