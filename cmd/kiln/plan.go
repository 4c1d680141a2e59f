package main

import (
	"context"
	"fmt"

	"kiln/bake"
)

// plan prints what a bake would build, and builds nothing.
func (a *app) plan(ctx context.Context, job *bakeJob) error {
	if err := a.lockForPlan(ctx, job); err != nil {
		return err
	}
	opts := a.builderOptions(ctx, job)
	builder, err := bake.NewBuilder(opts)
	if err != nil {
		return err
	}
	images, err := builder.Plan(ctx, job.images)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(struct {
			Schema string         `json:"schema"`
			Images []bake.Planned `json:"images"`
		}{"kiln.plan/v1", images})
	}
	for _, img := range images {
		name := img.Image
		if img.Platform != "" {
			name += " " + img.Platform
		}
		fmt.Fprintf(a.out, "%s (%s, from %s)\n", name, img.Tier, img.From)
		for _, s := range img.Steps {
			state := "build"
			if s.Cached {
				state = "cached"
			}
			fmt.Fprintf(a.out, "  %-6s  %s: %s\n", state, oneLine(s.Step), s.Reason)
		}
	}
	return nil
}

// lockForPlan resolves a missing lock without writing it.
func (a *app) lockForPlan(ctx context.Context, job *bakeJob) error {
	if job.lock != nil {
		return a.covers(ctx, job)
	}
	if !needsLock(job.recipe) {
		return nil
	}
	locker := bake.Locker{Cache: job.cache, Parents: job.backend.registry, Remote: a.remote(ctx)}
	lock, err := locker.Lock(ctx, job.recipe, nil)
	job.lock = lock
	return err
}
