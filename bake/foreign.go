package bake

import (
	"fmt"

	"kiln/bake/sandbox"
	"kiln/bake/template"
)

// executes refuses to run programs of an image whose platform the host cannot
// run: nothing that did not run may count as passed.
func (b *Builder) executes(recipe *template.Image) error {
	target, err := platform(recipe)
	if err != nil {
		return err
	}
	runs := b.Runs
	if runs == nil {
		runs = sandbox.Runs
	}
	if err := runs(target.Architecture); err != nil {
		return fmt.Errorf("platform %q: %w", recipe.Platform(), err)
	}
	return nil
}
