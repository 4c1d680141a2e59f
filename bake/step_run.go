package bake

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/bake/debian"
	"kiln/bake/sandbox"
	"kiln/bake/template"
	"kiln/layers"
)

// defaultPath is what commands get when neither image nor template say.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// defaultTimeout bounds a step that sets none.
const defaultTimeout = 30 * time.Minute

// scratchDirs are memory in the sandbox: what a step leaves there never ships.
var scratchDirs = []string{"/tmp", "/run"}

func stepName(s template.Step) string {
	switch s := s.(type) {
	case *template.Copy:
		return "copy " + filepath.Base(s.Source) + " -> " + s.Target
	case *template.Run:
		if s.Name != "" {
			return s.Name
		}
		return "run " + strings.Join(s.Command, " ")
	case *template.Dockerfile:
		return "dockerfile " + s.Path
	case *template.ImageCopy:
		return "image " + s.From.String() + " " + s.Source + " -> " + s.Target
	case fmt.Stringer:
		return s.String()
	}
	return fmt.Sprintf("%T", s)
}

// runStep runs a command on what lies below and keeps what it changed.
func (b *Builder) runStep(ctx context.Context, st *state, name string, run *template.Run) (StepResult, error) {
	binds, err := b.bindings(ctx, st, run)
	if err != nil {
		return StepResult{}, err
	}
	for _, c := range binds {
		st.result.Inputs = append(st.result.Inputs, c.inputs...)
	}
	return b.runWith(ctx, st, name, run, binds)
}

// running is a run step on its way.
type running struct {
	*template.Run
	env   []string
	binds bound
	key   string
}

// runWith is runStep where what the bind mounts show is known.
func (b *Builder) runWith(ctx context.Context, st *state, name string, run *template.Run, binds bound) (StepResult, error) {
	env, err := b.environ(st, run)
	if err != nil {
		return StepResult{}, err
	}
	chain, err := chainOf(st.below)
	if err != nil {
		return StepResult{}, err
	}
	kind := "run with folders"
	if run.InPlace {
		kind = "run in place"
	}
	var mounts any
	parts := []any{b.encoder(st), chain, run.Command, run.Workdir, env, run.User, run.Network, b.made().Unix()}
	if len(run.Mounts) > 0 {
		mounts = mountsKey(run, binds)
		parts = append(parts, mounts)
	}
	r := running{Run: run, env: env, binds: binds, key: key(kind, parts...)}
	st.made = func() made { return b.runMade(chain, run, env, mounts) }
	res, err := b.cached(ctx, st, RunStep, name, r.key, func(dir string) ([]layers.Entry, error) {
		return b.changes(ctx, st, r, dir)
	})
	if err == nil {
		b.refresh(st, r.key)
	}
	res.run = run
	return res, err
}

// changes runs the command and lists what it changed.
func (b *Builder) changes(ctx context.Context, st *state, r running, dir string) ([]layers.Entry, error) {
	if err := b.executes(st.recipe); err != nil {
		return nil, err
	}
	lowers, err := b.lowers(ctx, st.below)
	if err != nil {
		return nil, err
	}
	upper, work := filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	for _, d := range []string{upper, work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return nil, err
		}
	}
	mounted, err := b.mountAll(ctx, st, r.Run, r.binds, dir)
	if err != nil {
		return nil, err
	}
	defer mounted.close()
	if err := b.execute(ctx, st, r, b.root(lowers, upper, work), mounted); err != nil {
		return nil, err
	}
	if err := mounted.leaked(upper); err != nil {
		return nil, err
	}
	if err := b.noteChanged(r.key, upper, lowers); err != nil {
		return nil, err
	}
	if err := debian.NormaliseStep(upper, st.result.Timestamp); err != nil {
		return nil, err
	}
	return layers.Diff(upper, lowers, layers.TreeOptions{ModTime: b.always(b.made())})
}

// execute runs the command in its sandbox; what it prints is in its error.
func (b *Builder) execute(ctx context.Context, st *state, r running, root sandbox.Root, m *mounted) error {
	scratch := scratchDirs
	if r.InPlace {
		scratch = nil
	}
	out := newTail(st.log, append(secretsOf(r.Run), m.masks()...)...)
	err := sandbox.Run(ctx, sandbox.Spec{
		Root: root, Args: r.Command, Env: append(slices.Clone(r.env), m.env...), Dir: r.Workdir,
		User: r.User, Network: r.Network, Tmpfs: scratch, Mounts: m.mounts, Stdout: out, Stderr: out,
		Timeout: orDefault(r.Timeout, defaultTimeout), Limits: limitsOf(root.Upper),
	})
	if err != nil {
		return withoutNetwork(r.Run, out.bytes(), out.explain(err))
	}
	out.end()
	return nil
}

// secretsOf are the values that no output may show.
func secretsOf(run *template.Run) []string {
	var values []string
	for _, name := range run.Secret {
		values = append(values, run.Env[name])
	}
	return values
}

// environ is what a command of this image sees: the parent's environment, the
// template's, the step's, and the image's timestamp as SOURCE_DATE_EPOCH.
//
// A Dockerfile's RUN has its own alone, and the HOME of its user.
func (b *Builder) environ(st *state, run *template.Run) ([]string, error) {
	env := map[string]string{}
	if !run.InPlace {
		if err := b.inherit(st, env); err != nil {
			return nil, err
		}
	}
	maps.Copy(env, run.Env)
	env["SOURCE_DATE_EPOCH"] = strconv.FormatInt(st.result.Timestamp.Unix(), 10)
	list := make([]string, 0, len(env))
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return list, nil
}

// inherit adds what every command of the image sees.
func (b *Builder) inherit(st *state, env map[string]string) error {
	set := func(list []string) {
		for _, kv := range list {
			k, v, _ := strings.Cut(kv, "=")
			env[k] = v
		}
	}
	set([]string{defaultPath, "HOME=/root"})
	if st.parent != nil {
		config, err := st.parent.Image.ConfigFile()
		if err != nil {
			return err
		}
		set(config.Config.Env)
	}
	if st.docker != nil {
		set(st.docker.Config.Env)
	}
	maps.Copy(env, st.recipe.Config.Env)
	return nil
}

// chainOf names the content below: the diffIDs in order.
func chainOf(img v1.Image) ([]string, error) {
	if img == nil {
		return nil, nil
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	chain := make([]string, len(config.RootFS.DiffIDs))
	for i, d := range config.RootFS.DiffIDs {
		chain[i] = d.String()
	}
	return chain, nil
}

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}
