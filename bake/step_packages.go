package bake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"kiln/bake/debian"
	"kiln/bake/sandbox"
	"kiln/bake/template"
	"kiln/layers"
)

// packagesStep installs the locked packages of an image.
func (b *Builder) packagesStep(ctx context.Context, st *state, name string) (StepResult, error) {
	locked := st.result.Locked
	if len(locked.Packages) == 0 && len(st.recipe.AllPackages()) > 0 {
		return StepResult{}, fmt.Errorf("kiln.lock does not cover image %q (run kiln lock)", st.recipe.Name)
	}
	if st.parent != nil && st.recipe.Distroless() {
		return StepResult{}, errors.New("a distroless parent has no dpkg to add packages with (name them in its debian block)")
	}
	chain, err := chainOf(st.below)
	if err != nil {
		return StepResult{}, err
	}
	sums := make([]string, len(locked.Packages))
	for i, p := range locked.Packages {
		sums[i] = p.Name + " " + p.Version + " " + p.SHA256
	}
	k := key(packagesKind(chain), b.encoder(st), chain, locked.Suite, locked.Variant, locked.Arch,
		st.result.Timestamp.Unix(), b.made().Unix(), sourcesList(st.recipe), sums)
	st.made = func() made { return b.packagesMade(chain, st) }
	release := func() {}
	defer func() { release() }()
	res, err := b.cached(ctx, st, PackagesStep, name, k, func(string) ([]layers.Entry, error) {
		dir, done, err := b.installDir(st, treeSize(locked.Packages))
		if err != nil {
			return nil, err
		}
		release = done // the entries are read from there until the layer is written
		return b.install(ctx, st, dir, k)
	})
	if err == nil {
		b.noteInputs(st)
		b.noteIndexes(st)
		b.refresh(st, k)
	}
	return res, err
}

// packagesKind names the step in its key: what is installed on a parent lists
// folders of it, too.
func packagesKind(chain []string) string {
	if len(chain) > 0 {
		return "packages with folders"
	}
	return "packages"
}

// sourcesList is the text of /etc/apt/sources.list that the template asks for.
func sourcesList(recipe *template.Image) string {
	if recipe.Debian == nil {
		return ""
	}
	return recipe.Debian.SourcesList
}

// treeSize estimates what packages unpack to, in bytes: seen are 3 to 4 times
// their own size, and scripts add to that.
func treeSize(pkgs []template.LockedPackage) int64 {
	size := int64(64 << 20)
	for _, p := range pkgs {
		size += 5 * p.Size
	}
	return size
}

func (b *Builder) debs() debian.Cache { return debian.Cache{Dir: b.cache.path("debs")} }

// install unpacks and configures the packages in a fresh tree, or on top of
// what lies below, and lists what that changed.
func (b *Builder) install(ctx context.Context, st *state, dir, k string) (list []layers.Entry, err error) {
	if err := b.executes(st.recipe); err != nil {
		return nil, err
	}
	t := installTree{b: b, upper: filepath.Join(dir, "upper"), work: filepath.Join(dir, "work")}
	if st.below != nil {
		if err := b.needDpkg(ctx, st.below); err != nil {
			return nil, err
		}
		if t.lowers, err = b.lowers(ctx, st.below); err != nil {
			return nil, err
		}
	}
	if err := makeDirs(t.upper, t.work); err != nil {
		return nil, err
	}
	debs, err := b.fetch(ctx, st)
	if err != nil {
		return nil, err
	}
	in := debian.Install{
		Target:   debian.Target{Upper: t.upper, Lowers: t.lowers, Runner: t},
		Packages: debs, Arch: st.result.Locked.Arch, Timestamp: st.result.Timestamp,
		Unpacked: debian.Cache{Dir: b.cache.path("unpacked")}, Log: st.log,
		Sources: sourcesList(st.recipe),
	}
	if b.Scanner != nil {
		in.Beside = b.scanAhead
	}
	res, err := in.Do(ctx)
	if err != nil {
		return nil, err
	}
	opts := layers.TreeOptions{ModTime: b.packageTimes(st, res.Times)}
	if err := b.noteInstalled(k, res.Installed); err != nil {
		return nil, err
	}
	switch {
	case len(t.lowers) > 0:
		return layers.Diff(t.upper, t.lowers, opts)
	case st.result.Locked.Variant == template.VariantDistroless:
		if opts.Skip, err = b.distroless(t.upper, st.recipe.AllPackages(), k); err != nil {
			return nil, err
		}
	}
	return layers.Tree(t.upper, opts)
}

// distroless selects what of a whole tree ships, notes the packages, and
// returns what tells the rest.
func (b *Builder) distroless(tree string, wanted []string, k string) (func(string, fs.FileInfo) bool, error) {
	selection, err := debian.Distroless(tree, wanted)
	if err != nil {
		return nil, err
	}
	if err := b.noteInstalled(k, selection.Packages); err != nil {
		return nil, err
	}
	ship := map[string]bool{}
	for _, p := range selection.Paths {
		ship[p] = true
	}
	return func(path string, _ fs.FileInfo) bool { return !ship[path] }, nil
}

// packageTimes keeps the .deb's times for files that came out of one and
// gives all else, folders included, the fixed time.
func (b *Builder) packageTimes(st *state, times map[string]time.Time) func(string, fs.FileInfo) time.Time {
	return func(path string, info fs.FileInfo) time.Time {
		t, ok := times[path]
		switch {
		case !ok || info.IsDir():
			return b.made()
		case t.After(st.result.Timestamp):
			return st.result.Timestamp
		}
		return t
	}
}

// fetch brings the locked .debs into the cache.
func (b *Builder) fetch(ctx context.Context, st *state) ([]debian.Deb, error) {
	pkgs := packagesOf(st.result.Locked)
	for _, p := range pkgs {
		b.cache.claimAll([]string{b.debs().Path(p.SHA256), b.cache.path("unpacked", "unpacked", p.SHA256)})
		b.cache.wrote(p.Size)
	}
	files, err := b.obtain(ctx, st.recipe, st.result.Locked, pkgs)
	if err != nil {
		return nil, err
	}
	debs := make([]debian.Deb, len(pkgs))
	for i, p := range pkgs {
		debs[i] = debian.Deb{Package: p, File: files[p.SHA256]}
	}
	return debs, nil
}

// fetchWorkers is how many .debs are under way at once.
const fetchWorkers = 8

// installTree runs maintainer scripts in the tree under construction.
type installTree struct {
	b           *Builder
	upper, work string
	lowers      []string
}

func (t installTree) Run(ctx context.Context, cmd, env []string, stdin io.Reader, out io.Writer) error {
	return sandbox.Run(ctx, sandbox.Spec{
		Root: t.b.root(t.lowers, t.upper, t.work), Args: cmd, Env: env, Dir: "/", Network: "none",
		Stdin: stdin, Stdout: out, Stderr: out, Timeout: defaultTimeout,
		Limits: limitsOf(t.upper),
	})
}
