package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// DefaultTimeout bounds one run of maintainer scripts.
const DefaultTimeout = 15 * time.Minute

// Install installs packages in a tree: into an empty one (a base) or on top
// of trees that have packages already. It unpacks and registers the packages
// itself, many at a time, and leaves the rest to the tree's own dpkg.
type Install struct {
	Target
	// Packages are what to install; everything that they need must be among
	// them or in the tree. A package that the tree has at another version is
	// upgraded.
	Packages []Deb
	// Arch is the tree's architecture, such as "amd64".
	Arch string
	// Timestamp is the image's: no file is newer, and scripts see it as
	// SOURCE_DATE_EPOCH.
	Timestamp time.Time
	// Unpacked keeps decompressed packages, so that the next installation of
	// the same ones is faster.
	Unpacked Cache
	// Sources is the text of /etc/apt/sources.list; none is written when it
	// is empty.
	Sources string
	// Beside, if not nil, is given the data.tar of every package and runs while
	// they are installed, at most until that is done.
	Beside func(ctx context.Context, data []io.Reader)
	// Timeout bounds one run of scripts; 0 is DefaultTimeout.
	Timeout time.Duration
	// Log receives what scripts and dpkg print; nil drops it.
	Log io.Writer
}

// Result says what an installation made.
type Result struct {
	// Times has the modification times of the files and links in Upper that
	// are still as their packages ship them, by clean path without a leading
	// slash. Every other file was made or changed by scripts.
	Times map[string]time.Time
	// Installed is what the tree's dpkg database lists now.
	Installed []Installed
}

// Do installs. On an error Upper is left as it was at that moment: throw it
// away. Errors: *ConflictError, *ScriptError, and errors that name the
// package otherwise.
func (in *Install) Do(ctx context.Context) (*Result, error) {
	if in.Unpacked.Dir == "" {
		return nil, errors.New("install packages: no folder for unpacked packages given")
	}
	if info, err := os.Lstat(in.Upper); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("install packages: %s is no directory", in.Upper)
	}
	all, err := readAll(ctx, in.Unpacked, in.Packages)
	defer closeAll(all)
	if err != nil {
		return nil, err
	}
	defer in.beside(ctx, all)()
	j := &job{Install: in, view: newView(in.Target), scripts: newScripts(in), shipped: map[string]*node{}}
	if err := j.install(ctx, all); err != nil {
		return nil, err
	}
	if err := j.finish(ctx); err != nil {
		return nil, err
	}
	j.view.forget()
	db, err := readDatabase(j.view)
	if err != nil {
		return nil, err
	}
	return &Result{Times: j.times(), Installed: db.list()}, nil
}

// beside starts what goes on beside the installation; end stops it.
func (in *Install) beside(ctx context.Context, all []*contents) (end func()) {
	if in.Beside == nil {
		return func() {}
	}
	data := make([]io.Reader, len(all))
	for i, c := range all {
		data[i] = io.NewSectionReader(c.unpacked.data, 0, c.unpacked.data.Size())
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		in.Beside(ctx, data)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// job is one installation under way.
type job struct {
	*Install
	view    *view
	scripts *scripts
	shipped map[string]*node // by path in Upper
}

func (j *job) install(ctx context.Context, all []*contents) error {
	db, err := readDatabase(j.view)
	if err != nil {
		return err
	}
	fresh, upgrades := split(all, db)
	if len(upgrades) > 0 {
		if err := j.upgrade(ctx, upgrades); err != nil {
			return err
		}
	}
	todo := waves(fresh, db.empty())
	if len(todo) == 0 {
		return j.guarded(func() error { return j.configure(ctx) })
	}
	for i, w := range todo {
		configure := j.configure
		if len(upgrades) > 0 && i < len(todo)-1 {
			configure = j.tryConfigure
		}
		if w.bootstrap {
			err = j.bootstrap(ctx, w.set, configure)
		} else {
			err = j.extend(ctx, w.set, configure)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tryConfigure configures what can be: an upgraded package may need one that
// is still to come.
func (j *job) tryConfigure(ctx context.Context) error {
	var failed *ScriptError
	if err := j.configure(ctx); !errors.As(err, &failed) || ctx.Err() != nil {
		return err
	}
	return nil
}

// split tells new packages from those that the tree has at another version.
// What it has at this version is left out.
func split(all []*contents, db *database) (fresh, upgrades []*contents) {
	for _, c := range all {
		switch have := db.installed(c.Name); {
		case have.Name == "":
			fresh = append(fresh, c)
		case have.Version != c.Version:
			upgrades = append(upgrades, c)
		}
	}
	return fresh, upgrades
}

// bootstrap fills an empty tree with packages that need each other to work:
// unpack all, then run all preinst scripts, then configure.
func (j *job) bootstrap(ctx context.Context, set []*contents, configure func(context.Context) error) error {
	plan, w, err := j.plan(set, true)
	if err != nil {
		return err
	}
	defer w.root.Close()
	for _, c := range set {
		if err := w.registerControl(c); err != nil {
			return err
		}
	}
	if err := j.unpack(ctx, plan, w, set); err != nil {
		return err
	}
	for name, text := range map[string]string{
		infoDir + "/format": "1\n", adminDir + "/arch": j.Arch + "\n", diversionFile: "",
	} {
		if err := w.put(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return j.guarded(func() error {
		if err := j.scripts.preinst(ctx, set); err != nil {
			return err
		}
		var first []string
		for _, c := range set {
			if c.Name == "base-passwd" || c.Name == "base-files" {
				first = append(first, c.Name)
			}
		}
		if len(first) > 0 {
			if _, err := j.scripts.dpkg(ctx, append([]string{"--force-depends", "--configure"}, first...)...); err != nil {
				return err
			}
		}
		return configure(ctx)
	})
}

// extend adds packages to a tree that works: run their preinst scripts, then
// unpack, then configure.
func (j *job) extend(ctx context.Context, set []*contents, configure func(context.Context) error) error {
	_, w, err := j.plan(nil, false)
	if err != nil {
		return err
	}
	defer w.root.Close()
	for _, c := range set {
		if err := w.registerControl(c); err != nil {
			return err
		}
	}
	return j.guarded(func() error {
		if err := j.scripts.preinst(ctx, set); err != nil {
			return err
		}
		plan, w, err := j.plan(set, false) // anew: scripts may divert files
		if err != nil {
			return err
		}
		defer w.root.Close()
		if err := j.unpack(ctx, plan, w, set); err != nil {
			return err
		}
		return configure(ctx)
	})
}

func (j *job) plan(set []*contents, empty bool) (*plan, *writer, error) {
	j.view.forget()
	db, err := readDatabase(j.view)
	if err != nil {
		return nil, nil, err
	}
	p := newPlan(j.view, db)
	if empty {
		p.mergeUsr(set)
	}
	for _, c := range set {
		if err := p.add(c); err != nil {
			return nil, nil, err
		}
	}
	w, err := newWriter(p)
	return p, w, err
}

func (j *job) unpack(ctx context.Context, p *plan, w *writer, set []*contents) error {
	if err := w.write(ctx, j.Timestamp); err != nil {
		return err
	}
	for at, n := range p.nodes {
		if n.from != nil {
			j.shipped[at] = n
		}
	}
	return w.register(set)
}

// guarded runs scripts while no service can start.
func (j *job) guarded(run func() error) error {
	j.view.forget()
	g, err := newGuard(j.view)
	if err != nil {
		return err
	}
	return errors.Join(run(), g.remove())
}

func (j *job) configure(ctx context.Context) error {
	_, err := j.scripts.dpkg(ctx, "--configure", "-a")
	return err
}

// finish has dpkg audit its database, and normalises the tree.
func (j *job) finish(ctx context.Context) error {
	if j.Sources != "" {
		_, w, err := j.plan(nil, false)
		if err != nil {
			return err
		}
		err = w.put("etc/apt/sources.list", []byte(j.Sources), 0o644)
		w.root.Close()
		if err != nil {
			return err
		}
	}
	out, err := j.scripts.dpkg(ctx, "--audit")
	if err != nil {
		return err
	}
	if strings.TrimSpace(out) != "" {
		return &ScriptError{Output: lastLines(out, 20), Err: errors.New("dpkg --audit finds packages that are not installed whole")}
	}
	return Normalise(j.Target, j.Timestamp)
}
