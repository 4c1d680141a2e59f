package bake

import (
	"context"
	"fmt"
	"slices"

	"kiln/bake/template"
)

// Request is one bake.
type Request struct {
	Recipe  *template.Recipe
	Targets []string // short or full names; empty means all
	Builder *Builder
	// Publisher stores the images; required.
	Publisher Publisher
}

// Baked is what became of one image.
type Baked struct {
	*Image
	Tag    string
	Target bool // asked for, not only needed by what was
	Built  bool // false when this very version was there
}

// Bake builds, tests and publishes the targets and what they are from, parents
// first. Each image commits by itself: when one fails, those before it stay,
// and the error names the one.
func Bake(ctx context.Context, req Request) ([]Baked, error) {
	images, err := req.Recipe.Select(req.Targets)
	if err != nil {
		return nil, err
	}
	var done []Baked
	for _, recipe := range images {
		baked, err := bakeOne(ctx, req, recipe)
		if err != nil {
			return done, err
		}
		baked.Target = len(req.Targets) == 0 || slices.Contains(req.Targets, recipe.Name) || slices.Contains(req.Targets, recipe.FullName)
		done = append(done, baked)
	}
	return done, nil
}

func bakeOne(ctx context.Context, req Request, recipe *template.Image) (Baked, error) {
	img, err := req.Builder.Build(ctx, recipe)
	if err != nil {
		return Baked{}, err
	}
	if err := req.Builder.Test(ctx, img); err != nil {
		return Baked{}, err
	}
	tag, err := req.Publisher.Current(ctx, img)
	if err != nil {
		return Baked{}, fmt.Errorf("image %q: %w", recipe.Name, err)
	}
	if tag != "" {
		return Baked{Image: img, Tag: tag}, nil
	}
	if tag, err = req.Publisher.Publish(ctx, img); err != nil {
		return Baked{}, fmt.Errorf("image %q: %w", recipe.Name, err)
	}
	return Baked{Image: img, Tag: tag, Built: true}, nil
}
