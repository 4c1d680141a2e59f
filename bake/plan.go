package bake

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"kiln/bake/template"
)

// Planned is what a bake would do for one image.
type Planned struct {
	Image    string        `json:"image"`
	Platform string        `json:"platform,omitempty"` // where it has several
	Tier     string        `json:"tier"`
	From     string        `json:"from"`
	Digest   digest.Digest `json:"digest,omitempty"` // known only when nothing is to be built
	Steps    []PlannedStep `json:"steps"`
}

// PlannedStep is one step of a Planned image.
type PlannedStep struct {
	Step   string        `json:"step"`
	Cached bool          `json:"cached"`
	Digest digest.Digest `json:"digest,omitempty"`
	Reason string        `json:"reason"` // one sentence
}

// Plan says what baking images, parents first, would find in the cache. It
// makes no layer.
func (b *Builder) Plan(ctx context.Context, images []*template.Image) ([]Planned, error) {
	b.planning = true
	defer func() { b.planning = false }()
	var plan []Planned
	for _, recipe := range images {
		p, err := b.planImage(ctx, recipe)
		if err != nil {
			return nil, err
		}
		plan = append(plan, p)
	}
	return plan, nil
}

func (b *Builder) planImage(ctx context.Context, recipe *template.Image) (Planned, error) {
	p := Planned{Image: recipe.FullName, Tier: recipe.Tier, From: recipe.From.String(), Steps: []PlannedStep{}}
	if len(recipe.All) > 1 {
		p.Platform = recipe.Platform()
	}
	missing := ""
	st := &state{recipe: recipe, result: &Image{Name: recipe.FullName, Recipe: recipe}}
	if parent, ok := b.planned(recipe); !ok {
		missing = "its parent " + parent.FullName + " is built first"
	} else if err := b.start(ctx, st); err != nil {
		return p, failed(recipe, recipe.Pos, "from", err)
	}
	list := b.steps(recipe)
	for len(list) > 0 {
		s := list[0]
		list = list[1:]
		if s.steps != nil && missing == "" {
			more, err := s.unfold(ctx, st)
			if err != nil {
				return p, err
			}
			list = append(more, list...)
			continue
		}
		if missing != "" {
			p.Steps = append(p.Steps, PlannedStep{Step: s.name, Reason: missing})
			continue
		}
		err := error(nil)
		if s.prepare != nil {
			err = s.prepare(ctx)
		}
		if err == nil {
			err = b.step(ctx, st, s)
		}
		if errors.Is(err, errMiss) {
			p.Steps = append(p.Steps, PlannedStep{Step: s.name, Reason: reasonOf(err)})
			missing = "the step before it is built first"
			continue
		}
		if err != nil {
			return p, err
		}
		last := st.steps[len(st.steps)-1]
		p.Steps = append(p.Steps, PlannedStep{Step: s.name, Cached: true, Digest: last.Digest, Reason: last.Reason})
	}
	if missing != "" {
		return p, nil
	}
	if err := b.finish(st); err != nil {
		return p, failed(recipe, recipe.Pos, "assemble", err)
	}
	b.note(recipe, st.result)
	p.Digest = st.result.Digest
	return p, nil
}

// planned is the parent in the recipe, and whether it is there already; an
// image without one misses nothing.
func (b *Builder) planned(recipe *template.Image) (*template.Image, bool) {
	parent := recipe.Parent()
	if parent == nil {
		return nil, true
	}
	_, ok := b.finished(parent)
	return parent, ok
}
