package bake

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/bake/dockerfile"
	"kiln/bake/template"
)

// docker is an image that a Dockerfile makes, under way.
type docker struct {
	*Builder
	def    *template.Dockerfile
	recipe *template.Image
	main   *state
	// evaluated are the stages whose instructions were looked at, built those
	// that were built to be copied from.
	evaluated map[*dockerfile.Stage]*dockerfile.Result
	built     map[*dockerfile.Stage]v1.Image
	context   *contextTree
}

// dockerSteps are the steps of the target's stages, which make the image's
// layers, and note its configuration. Other stages are built when a step
// copies from them.
func (b *Builder) dockerSteps(_ context.Context, st *state, def *template.Dockerfile) ([]named, error) {
	plan, err := def.Plan(st.recipe.Platform())
	if err != nil {
		return nil, err
	}
	d := &docker{
		Builder: b, def: def, recipe: st.recipe, main: st,
		evaluated: map[*dockerfile.Stage]*dockerfile.Result{}, built: map[*dockerfile.Stage]v1.Image{},
	}
	steps, res, err := d.chain(plan.Target, st.parent, "")
	if err != nil {
		return nil, err
	}
	if unused := plan.Unused(); len(unused) > 0 {
		return nil, fmt.Errorf("args sets %s, which no ARG of %s takes", strings.Join(unused, ", "), def.Path)
	}
	st.docker = res
	return steps, nil
}

// chain evaluates a stage and those that it is FROM on an image; nil is
// scratch. prefix goes before the names of its steps.
func (d *docker) chain(stage *dockerfile.Stage, base *Image, prefix string) ([]named, *dockerfile.Result, error) {
	below := dockerfile.Base{}
	if base != nil {
		config, err := base.Image.ConfigFile()
		if err != nil {
			return nil, nil, err
		}
		below.Config, below.Author = config.Config, config.Author
	}
	var steps []named
	for _, s := range stage.Chain() {
		res, ok := d.evaluated[s]
		if !ok {
			var err error
			if res, err = s.Evaluate(below); err != nil {
				return nil, nil, err
			}
			d.evaluated[s] = res
		}
		below.Stage = res
		for _, step := range res.Steps {
			pos := template.Pos{File: d.def.Path, Line: step.At()}
			steps = append(steps, named{name: prefix + step.Label(), pos: pos, make: d.maker(step)})
		}
	}
	return steps, below.Stage, nil
}

func (d *docker) maker(step dockerfile.Step) maker {
	return func(ctx context.Context, st *state, name string) (StepResult, error) {
		switch s := step.(type) {
		case *dockerfile.Run:
			return d.run(ctx, st, name, s)
		case *dockerfile.Copy:
			return d.copy(ctx, st, name, s)
		case *dockerfile.Workdir:
			return d.workdir(ctx, st, name, s)
		}
		return StepResult{}, fmt.Errorf("unknown step %T", step)
	}
}

// stage builds a stage that something is copied from.
func (d *docker) stage(ctx context.Context, stage *dockerfile.Stage) (v1.Image, error) {
	if img, ok := d.built[stage]; ok {
		return img, nil
	}
	first := stage.Chain()[0]
	var base *Image
	if ref := first.Base.Image; ref != "" {
		var err error
		if base, err = d.image(ctx, ref, stage.Name); err != nil {
			return nil, fmt.Errorf("%s:%d: FROM %s: %w", d.def.Path, first.Line, ref, err)
		}
	}
	steps, _, err := d.chain(stage, base, stage.Name+": ")
	if err != nil {
		return nil, err
	}
	st := &state{recipe: d.recipe, parent: base, result: &Image{Name: d.recipe.FullName, Recipe: d.recipe, Timestamp: d.main.result.Timestamp}, docker: d.main.docker}
	if base != nil {
		st.below = base.Image
	}
	for _, s := range steps {
		if err := d.step(ctx, st, s); err != nil {
			return nil, err
		}
	}
	d.main.result.Inputs = append(d.main.result.Inputs, st.result.Inputs...)
	d.built[stage] = st.below
	return st.below, nil
}

// image opens an image that the Dockerfile names, for a stage to stand on, or
// to take files from it.
func (d *docker) image(ctx context.Context, ref, stage string) (*Image, error) {
	img, err := d.opened(ctx, ref)
	if err == nil {
		read := RecordRead{RecordParent{Name: img.Name, Host: img.Host, Digest: img.version()}, stage}
		if !slices.Contains(d.main.reads, read) {
			d.main.reads = append(d.main.reads, read)
		}
	}
	return img, err
}

func (d *docker) opened(ctx context.Context, ref string) (*Image, error) {
	if ref == d.def.Base {
		return d.main.parent, nil
	}
	from := d.def.Images[ref]
	if from == nil {
		return nil, fmt.Errorf("image %s is not among those of the template", ref)
	}
	img, err := d.source(ctx, d.recipe, *from)
	if err == nil {
		d.main.result.Inputs = append(d.main.result.Inputs, imageInput(img))
	}
	return img, err
}

// run does a RUN. Unlike kiln's own run it sees /tmp and /run as they are, and
// what it leaves there stays: a later RUN may want it.
func (d *docker) run(ctx context.Context, st *state, name string, s *dockerfile.Run) (StepResult, error) {
	if st.below == nil {
		return StepResult{}, fmt.Errorf("FROM scratch has nothing that could run")
	}
	run := &template.Run{
		Command: s.Args, Workdir: s.Dir, Env: map[string]string{}, Network: s.Network, User: s.User, InPlace: true,
		Timeout: defaultTimeout, Pos: template.Pos{File: d.def.Path, Line: s.Line},
	}
	for _, kv := range s.Env {
		k, v, _ := strings.Cut(kv, "=")
		run.Env[k] = v
	}
	binds := bound{}
	for _, m := range s.Mounts {
		if err := d.mount(ctx, st, run, binds, m); err != nil {
			return StepResult{}, fmt.Errorf("--mount=type=%s: %w", m.Type, err)
		}
	}
	if s.Script != nil {
		target := path.Join(dockerfile.ScriptDir, s.Script.Path)
		run.Mounts = append(run.Mounts, template.Mount{Type: template.MountBind, Target: target})
		it := inlineItem(*s.Script)
		it.Target, it.Mode = "/", 0o755
		binds[target] = contents{items: []item{it}}
	}
	return d.runWith(ctx, st, name, run, binds)
}
