package bake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"kiln/bake/template"
)

// job is one image of a bake. It is built as soon as the images that it needs
// are built, and published after they are.
type job struct {
	recipe *template.Image
	steps  []*pending
	needs  []*job
	block  *block // nil of an image for one platform

	built chan struct{} // closed when unbuilt is final
	done  chan struct{} // closed when baked and err are final

	unbuilt error
	baked   Baked
	err     error
}

// pending is a step whose preparation may be under way.
type pending struct {
	named
	ready chan struct{} // closed when err is final
	err   error
}

// SkippedError says that an image was not baked because one that it needs
// failed.
type SkippedError struct{ Image, Needs string }

func (e *SkippedError) Error() string {
	return fmt.Sprintf("image %q was not baked: it needs %q, which failed", e.Image, e.Needs)
}

// Errors are what went wrong with several images, in the order of the recipe.
type Errors []error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.Is and errors.As look at each.
func (e Errors) Unwrap() []error { return e }

// jobsOf links the images of a bake; all that they need is among them.
func (b *Builder) jobsOf(images []*template.Image) []*job {
	list := make([]*job, len(images))
	by := map[*template.Image]*job{}
	for i, recipe := range images {
		j := &job{recipe: recipe, steps: b.pending(recipe), built: make(chan struct{}), done: make(chan struct{})}
		for _, need := range recipe.Needs() {
			if n := by[need]; n != nil {
				j.needs = append(j.needs, n)
			}
		}
		list[i], by[recipe] = j, j
	}
	blocks(list)
	return list
}

func (b *Builder) pending(recipe *template.Image) []*pending {
	var list []*pending
	for _, s := range b.steps(recipe) {
		list = append(list, &pending{named: s, ready: make(chan struct{})})
	}
	return list
}

// bakeAll bakes images side by side. An image that fails takes only those that
// need it along.
func bakeAll(ctx context.Context, req Request, images []*template.Image) ([]Baked, error) {
	jobs := req.Builder.jobsOf(images)
	var all sync.WaitGroup
	all.Go(func() { req.Builder.prepareAll(ctx, jobs) })
	for _, j := range jobs {
		all.Go(func() { j.run(ctx, req) })
	}
	all.Wait()
	return outcome(ctx, jobs)
}

// outcome lists what was baked, and the errors of what was not.
func outcome(ctx context.Context, jobs []*job) ([]Baked, error) {
	var done []Baked
	var failed Errors
	whole := true
	for _, j := range jobs {
		whole = whole && j.err == nil
		switch skipped := (*SkippedError)(nil); {
		case j.err == nil && j.follows():
		case j.err == nil:
			done = append(done, j.baked)
		case !errors.As(j.err, &skipped):
			failed = append(failed, j.err)
		}
	}
	switch {
	case ctx.Err() != nil && !whole:
		return done, ctx.Err()
	case len(failed) == 1:
		return done, failed[0]
	case len(failed) > 1:
		return done, failed
	}
	return done, nil
}

// prepareAll prepares the steps of all images, in order, within the budget.
func (b *Builder) prepareAll(ctx context.Context, jobs []*job) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, j := range jobs {
		for _, s := range j.steps {
			if s.prepare == nil {
				close(s.ready)
				continue
			}
			release, err := b.budget.take(ctx, lightWork)
			if err != nil {
				s.err = err
				close(s.ready)
				continue
			}
			all.Go(func() {
				defer release()
				defer close(s.ready)
				s.err = s.prepare(ctx)
			})
		}
	}
}

// run bakes one image and tells the observer.
func (j *job) run(ctx context.Context, req Request) {
	defer close(j.done)
	start := time.Now()
	if j.baked, j.err = j.bake(ctx, req); j.err != nil {
		req.Builder.tell(j.recipe, Event{Type: ImageFailed, Took: time.Since(start), Err: j.err})
		return
	}
	req.Builder.tell(j.recipe, Event{
		Type: ImageFinished, Took: time.Since(start), Digest: j.baked.Digest, Tag: j.baked.Tag, Built: j.baked.Built,
	})
}

func (j *job) bake(ctx context.Context, req Request) (Baked, error) {
	img, err := j.build(ctx, req.Builder)
	j.unbuilt = err
	close(j.built)
	if err == nil {
		err = check(ctx, req, img)
	}
	if img, err = j.join(img, err); err != nil || img == nil {
		return j.baked, err
	}
	release, err := req.Builder.budget.take(ctx, lightWork)
	if err != nil {
		return Baked{}, err
	}
	defer release()
	return publish(ctx, req, img)
}

// build waits for the images that j needs and builds j on them.
func (j *job) build(ctx context.Context, b *Builder) (*Image, error) {
	for _, need := range j.needs {
		<-need.built
		if need.unbuilt != nil {
			return nil, j.skipped(need.recipe)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.tell(j.recipe, Event{Type: ImageStarted})
	return b.build(ctx, j.recipe, j.steps)
}

// wait returns when the step is prepared, with the error of that.
func (p *pending) wait(ctx context.Context) error {
	select {
	case <-p.ready:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
