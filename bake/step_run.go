package bake

import (
	"context"
	"fmt"
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
		return "run " + strings.Join(s.Command, " ")
	case *template.ImageCopy:
		return "image " + s.From.String() + " " + s.Source + " -> " + s.Target
	case fmt.Stringer:
		return s.String()
	}
	return fmt.Sprintf("%T", s)
}

// runStep runs a command on what lies below and keeps what it changed.
func (b *Builder) runStep(ctx context.Context, st *state, name string, run *template.Run) (StepResult, error) {
	env, err := b.environ(st, run.Env)
	if err != nil {
		return StepResult{}, err
	}
	chain, err := chainOf(st.below)
	if err != nil {
		return StepResult{}, err
	}
	k := key("run normalised", b.encoder, chain, run.Command, run.Workdir, env, run.User, run.Network, b.made().Unix())
	res, err := b.cached(ctx, st, RunStep, name, k, func(dir string) ([]layers.Entry, error) {
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
		out := newTail(st.log, secretsOf(run)...)
		err = sandbox.Run(ctx, sandbox.Spec{
			Root: b.root(lowers, upper, work),
			Args: run.Command, Env: env, Dir: run.Workdir, User: run.User, Network: run.Network,
			Tmpfs: scratchDirs, Stdout: out, Stderr: out, Timeout: orDefault(run.Timeout, defaultTimeout),
			Limits: limitsOf(upper),
		})
		if err != nil {
			return nil, withoutNetwork(run.Network, out.bytes(), out.explain(err))
		}
		if err := b.noteChanged(k, upper, lowers); err != nil {
			return nil, err
		}
		if err := debian.NormaliseStep(upper, st.result.Timestamp); err != nil {
			return nil, err
		}
		return layers.Diff(upper, lowers, layers.TreeOptions{ModTime: b.always(b.made())})
	})
	if err == nil {
		b.refresh(st, k)
	}
	res.run = run
	return res, err
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
func (b *Builder) environ(st *state, extra map[string]string) ([]string, error) {
	env := map[string]string{}
	set := func(kv string) {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	set(defaultPath)
	set("HOME=/root")
	if st.parent != nil {
		config, err := st.parent.Image.ConfigFile()
		if err != nil {
			return nil, err
		}
		for _, kv := range config.Config.Env {
			set(kv)
		}
	}
	for k, v := range st.recipe.Config.Env {
		env[k] = v
	}
	for k, v := range extra {
		env[k] = v
	}
	env["SOURCE_DATE_EPOCH"] = strconv.FormatInt(st.result.Timestamp.Unix(), 10)
	list := make([]string, 0, len(env))
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return list, nil
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
