package bake

import (
	"context"
	"errors"
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

// Bake builds, tests and publishes the targets and what they are from. Images
// that do not need each other are baked side by side, and one is published
// only after those that it needs. Each image commits by itself: when one
// fails, those that need it are skipped, the others stay, and the error, or
// each of [Errors], names the one. What is returned is in the recipe's order.
func Bake(ctx context.Context, req Request) ([]Baked, error) {
	images, err := req.Recipe.Select(req.Targets)
	if err != nil {
		return nil, err
	}
	first, err := bakeAll(ctx, req, images)
	done := first
	if err != nil && ctx.Err() == nil && req.Builder.cache.lost() {
		req.warn("a layer in the cache was damaged and is made again: %v", err)
		done, err = bakeAll(ctx, req, images) // its maker may be another image
	}
	for _, text := range req.Builder.idleAllowances() {
		req.warn("%s", text)
	}
	for i := range done {
		name, full := done[i].Recipe.Name, done[i].Recipe.FullName
		done[i].Built = done[i].Built || slices.ContainsFunc(first, func(b Baked) bool {
			return b.Built && b.Name == full && b.Tag == done[i].Tag
		})
		done[i].Target = len(req.Targets) == 0 || slices.Contains(req.Targets, name) || slices.Contains(req.Targets, full)
	}
	return done, err
}

// check looks for secrets in a built image and holds it against its tests.
func check(ctx context.Context, req Request, img *Image) error {
	if err := req.Builder.Scan(ctx, img); err != nil {
		return err
	}
	if img.Scan != nil && len(img.Scan.Secrets) > 0 {
		req.warn("%v", &SecretsError{Image: img.Recipe.LockName(), Found: img.Scan.Secrets})
	}
	return req.Builder.Test(ctx, img)
}

// publish makes a built image a version, unless it is one.
func publish(ctx context.Context, req Request, img *Image) (Baked, error) {
	name := img.Recipe.Name
	tag, err := req.Publisher.Current(ctx, img)
	if err != nil {
		return Baked{}, fmt.Errorf("image %q: %w", name, err)
	}
	if tag != "" {
		return Baked{Image: img, Tag: tag}, nil
	}
	if err := gather(ctx, req, img); err != nil {
		return Baked{}, err
	}
	tag, err = req.Publisher.Publish(ctx, img)
	if err != nil && !errors.Is(err, ErrOvertaken) {
		return Baked{}, fmt.Errorf("image %q: %w", name, err)
	}
	return Baked{Image: img, Tag: tag, Built: err == nil}, nil
}

// gather fetches what the publisher wants to keep and a warm cache need not
// have. A version can do without.
func gather(ctx context.Context, req Request, img *Image) error {
	if !slices.ContainsFunc(img.Steps, func(s StepResult) bool { return s.Cached }) {
		return nil
	}
	lacking := req.Publisher.Lacking(ctx, img)
	for _, part := range img.parts() {
		if err := req.Builder.gather(ctx, part, lacking); err != nil && ctx.Err() == nil {
			req.warn("image %q: the version will not keep all it was made from: %v", part.Recipe.LockName(), err)
		}
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
