package bake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"kiln/bake/template"
)

// Request is one bake.
type Request struct {
	Recipe  *template.Recipe
	Targets []string // short or full names; empty means all
	Builder *Builder
	// Publisher stores the images; required.
	Publisher Publisher
	// Warn hears of what a bake does without; nil means the Builder's log.
	Warn func(text string)
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
	built := map[string]bool{}
	for i, repaired := 0, false; i < len(images); i++ {
		recipe := images[i]
		baked, err := bakeImage(ctx, req, recipe)
		if err != nil && req.Builder.cache.lost() && !repaired && ctx.Err() == nil {
			req.warn("a layer in the cache was damaged and is made again: %v", err)
			done, i, repaired = nil, -1, true // its makers may come long before
			continue
		}
		if err != nil {
			return done, err
		}
		version := baked.Name + ":" + baked.Tag
		built[version] = built[version] || baked.Built
		baked.Built = built[version]
		baked.Target = len(req.Targets) == 0 || slices.Contains(req.Targets, recipe.Name) || slices.Contains(req.Targets, recipe.FullName)
		done = append(done, baked)
	}
	return done, nil
}

// bakeImage is bakeOne, told to the observer.
func bakeImage(ctx context.Context, req Request, recipe *template.Image) (Baked, error) {
	start := time.Now()
	req.Builder.tell(recipe, Event{Type: ImageStarted})
	baked, err := bakeOne(ctx, req, recipe)
	if err != nil {
		req.Builder.tell(recipe, Event{Type: ImageFailed, Took: time.Since(start), Err: err})
		return baked, err
	}
	req.Builder.tell(recipe, Event{Type: ImageFinished, Took: time.Since(start), Digest: baked.Digest, Tag: baked.Tag, Built: baked.Built})
	return baked, nil
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
	if err := gather(ctx, req, img); err != nil {
		return Baked{}, err
	}
	tag, err = req.Publisher.Publish(ctx, img)
	if err != nil && !errors.Is(err, ErrOvertaken) {
		return Baked{}, fmt.Errorf("image %q: %w", recipe.Name, err)
	}
	return Baked{Image: img, Tag: tag, Built: err == nil}, nil
}

// gather fetches what the publisher wants to keep and a warm cache need not
// have. A version can do without.
func gather(ctx context.Context, req Request, img *Image) error {
	if !slices.ContainsFunc(img.Steps, func(s StepResult) bool { return s.Cached }) {
		return nil
	}
	if err := req.Builder.gather(ctx, img, req.Publisher.Lacking(ctx, img)); err != nil && ctx.Err() == nil {
		req.warn("image %q: the version will not keep all it was made from: %v", img.Recipe.Name, err)
	}
	return ctx.Err()
}

func (r Request) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if r.Warn != nil {
		r.Warn(text)
		return
	}
	fmt.Fprintln(r.Builder.Log, text)
}
