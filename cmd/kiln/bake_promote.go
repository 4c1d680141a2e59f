package main

import (
	"context"
	"slices"
	"strings"

	"kiln/bake"
	"kiln/bake/template"
	"kiln/registry/promotion"
)

// promoted are the images that --promote moves: the targets, or the leaves.
func (j *bakeJob) promoted() []*template.Image {
	if len(j.bakeOptions.targets) == 0 {
		return j.recipe.Leaves()
	}
	return j.targets
}

// promoteBaked moves what --promote asks for, one image after the other. When
// one is refused it says which others did not move either.
func (a *app) promoteBaked(ctx context.Context, job *bakeJob, baked []bake.Baked) error {
	if job.promote == "" {
		return nil
	}
	wanted := job.promoted()
	left := slices.DeleteFunc(slices.Clone(baked), func(b bake.Baked) bool { return !slices.Contains(wanted, b.Recipe) })
	for i, b := range left {
		p, err := job.backend.ops.Promote(ctx, promotion.PromoteRequest{
			Image: b.Name, Digest: b.Digest, Channel: job.promote, Reason: "baked as " + b.Tag,
		})
		if err != nil {
			a.say("%s: stored, but not promoted to %s", imageNames(left[i:]), job.promote)
			return err
		}
		if p.RecordedKey != "" {
			a.say("first promotion of this store: recorded the promotion key %s in its trust", p.RecordedKey)
		}
		a.say("%s: %s holds %s (sequence %d)", p.Image, p.Channel, p.Digest, p.Sequence)
		a.warnRevoked(p)
	}
	return nil
}

func imageNames(baked []bake.Baked) string {
	var names []string
	for _, b := range baked {
		names = append(names, b.Name)
	}
	return strings.Join(names, ", ")
}
