package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"kiln/bake"
	"kiln/bake/template"
	"kiln/registry/promotion"
	"kiln/sign"
)

// rebuildOptions are the flags of kiln verify --rebuild.
type rebuildOptions struct {
	on      bool
	source  string
	vars    []string
	verbose bool
}

// rebuiltReport is what became of baking a version again.
type rebuiltReport struct {
	Identical bool          `json:"identical"`
	Digest    digest.Digest `json:"digest"` // of what was rebuilt
	Commit    string        `json:"commit"`
	Template  string        `json:"template"` // within the commit
	// Parent was taken from the store by its digest, and not rebuilt.
	Parent string         `json:"parent,omitempty"`
	Images []rebuiltImage `json:"images,omitempty"` // that differ
}

type rebuiltImage struct {
	Platform string                 `json:"platform"`
	Stored   digest.Digest          `json:"stored"`
	Rebuilt  digest.Digest          `json:"rebuilt"`
	Config   []diffSetting          `json:"config"`
	Layers   []bake.LayerDifference `json:"layers"`
}

// rebuilding is a version that is baked again.
type rebuilding struct {
	app     *app
	options rebuildOptions
	image   string
	digest  digest.Digest
	backend *backend
	records *bake.Records
	made    *bake.Made
	recipe  *template.Recipe
	lock    *template.Lock
	report  *rebuiltReport
}

// rebuild bakes a version again from what its provenance and records say, in an
// empty cache, and compares. What keeps it from that is exit 4: then nothing
// was proved.
func (a *app) rebuild(ctx context.Context, ref string, d digest.Digest, who promotion.Trust, o rebuildOptions) (*rebuiltReport, error) {
	named, err := storeRef(ref)
	if err != nil {
		return nil, err
	}
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	r := &rebuilding{app: a, options: o, image: named.Name, digest: d, backend: b, report: &rebuiltReport{}}
	r.records = &bake.Records{Registry: b.registry, Bakers: r.bakers(who)}
	if r.made, err = bake.MadeFrom(ctx, r.records, r.image, d); err != nil {
		return nil, unchecked(err)
	}
	cache, err := a.openCache()
	if err != nil {
		return nil, err
	}
	defer cache.Close()
	fresh, dir, done, err := cache.Fresh()
	if err != nil {
		return nil, err
	}
	defer done()
	if err := r.load(ctx, filepath.Join(dir, "source")); err != nil {
		return nil, unchecked(err)
	}
	rebuilt, err := r.bake(ctx, fresh)
	if err != nil {
		return nil, unchecked(fmt.Errorf("%s@%s cannot be baked again: %w", r.image, d, err))
	}
	return r.report, r.compare(ctx, cache, rebuilt)
}

// bakers are those that were named; for other images, which this one was baked
// from, those that the store trusts, too.
func (r *rebuilding) bakers(named promotion.Trust) func(context.Context, string) (*sign.Verifier, error) {
	return func(ctx context.Context, image string) (*sign.Verifier, error) {
		if image == r.image {
			return bakersOf(named, image)
		}
		trust, err := r.backend.ops.Trust(ctx)
		if err != nil && exitCode(err) != exitDenied {
			return nil, err
		}
		trust.Entries = append(trust.Entries, named.Entries...)
		if len(named.Root) > 0 {
			trust.Root = named.Root
		}
		return bakersOf(trust, image)
	}
}

// unchecked gives what proves nothing the exit code of a failed verification.
func unchecked(err error) error {
	if errors.Is(err, context.Canceled) || errors.As(err, new(*usageError)) {
		return err
	}
	var more []string
	if errors.Is(err, bake.ErrNoCommit) || errors.Is(err, errNoRepository) {
		more = append(more, "--source DIR names a checkout of the repository that has the commit (git fetch may bring it)")
	}
	return withHint(exitUnverified, err, more...)
}

var errNoRepository = errors.New("no repository to take the template's commit from")

// load checks the commit out and reads the template in it.
func (r *rebuilding) load(ctx context.Context, into string) error {
	vars, err := r.variables()
	if err != nil {
		return err
	}
	source := r.options.source
	if source == "" {
		source = "."
	}
	prefix, err := bake.Checkout(ctx, source, r.made.Commit, into)
	if err != nil && !errors.Is(err, bake.ErrNoCommit) {
		return fmt.Errorf("%w: %w", errNoRepository, err)
	}
	if err != nil {
		return err
	}
	file, err := findTemplate(into, prefix, r.made.Template)
	if err != nil {
		return err
	}
	r.report.Commit, r.report.Template = r.made.Commit, file
	r.recipe, err = template.Load(filepath.Join(into, file), template.Options{
		Vars: vars, Git: func() string { return r.made.Commit },
	})
	if err != nil {
		return fmt.Errorf("the template at commit %s: %w", r.made.Commit, err)
	}
	beside, err := readLock(r.recipe.Dir)
	if err != nil {
		return err
	}
	if r.lock, err = r.made.Pin(ctx, r.records, r.recipe, beside); err != nil {
		return err
	}
	return r.checkPinned()
}

// variables are those that were recorded, and the sensitive ones, which must be
// given.
func (r *rebuilding) variables() (map[string]string, error) {
	vars := maps.Clone(r.made.Variables)
	if vars == nil {
		vars = map[string]string{}
	}
	for _, v := range r.options.vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok || !slices.Contains(r.made.Secrets, name) {
			return nil, usagef("--var %s: only sensitive variables of the bake are given (%s); the others are recorded", name, firstOf(strings.Join(r.made.Secrets, ", "), "it had none"))
		}
		vars[name] = value
	}
	for _, name := range r.made.Secrets {
		if _, ok := vars[name]; !ok {
			return nil, fmt.Errorf("it was baked with the sensitive variable %s, whose value is not recorded (give --var %s=VALUE)", name, name)
		}
	}
	return vars, nil
}

// checkPinned refuses to bake what no record and no lock pins.
func (r *rebuilding) checkPinned() error {
	images, err := r.recipe.Select([]string{r.image})
	if err != nil {
		return err
	}
	for _, img := range images {
		fixed := r.made.Rebased != nil && img.FullName == r.image && !img.Installs() && len(img.Moving()) == 0
		if _, ok := r.lock.Images[img.LockName()]; !ok && !fixed && template.NeedsLock(img) {
			return fmt.Errorf("nothing tells what image %q was locked to: the commit has no kiln.lock for it, and the store no record", img.LockName())
		}
		outside := img.From.Kind != template.FromScratch && img.From.Kind != template.FromImage
		if p := r.made.Records[0].Parent; outside && img.FullName == r.image && p != nil {
			r.report.Parent = fmt.Sprintf("%s@%s", strings.TrimPrefix(p.Host+"/"+p.Name, "/"), p.Digest)
		}
	}
	return nil
}

// bake bakes the image with nothing at hand but what the store kept.
func (r *rebuilding) bake(ctx context.Context, fresh *bake.Cache) (*bake.Image, error) {
	job := &bakeJob{recipe: r.recipe, lock: r.lock, cache: fresh, backend: r.backend, epoch: r.made.Epoch()}
	opts := r.app.builderOptions(ctx, job)
	opts.Records, opts.Scanner = nil, nil
	if r.app.json {
		r.app.events = newJSONEvents(r.app.err, r.options.verbose)
		defer func() { r.app.events = nil }()
	}
	observe, end := r.app.watch(ctx, r.options.verbose)
	defer end()
	opts.Observe = observe
	builder, err := bake.NewBuilder(opts)
	if err != nil {
		return nil, err
	}
	return bake.Rebuild(ctx, r.recipe, r.image, builder)
}

// compare lists, platform by platform, what of the rebuilt image differs.
func (r *rebuilding) compare(ctx context.Context, cache *bake.Cache, rebuilt *bake.Image) error {
	r.report.Digest, r.report.Identical = rebuilt.Digest, rebuilt.Digest == r.digest
	if r.report.Identical {
		return nil
	}
	look, err := bake.NewLook(r.backend.registry, cache, nil)
	if err != nil {
		return err
	}
	parts := rebuilt.Platforms
	if parts == nil {
		parts = []*bake.Image{rebuilt}
	}
	for _, rec := range r.made.Records {
		i := slices.IndexFunc(parts, func(p *bake.Image) bool { return p.Recipe.Platform() == rec.Image.Platforms[0] })
		if i < 0 || parts[i].Digest == rec.Version {
			continue
		}
		before, err := look.Open(ctx, r.image, rec.Version)
		if err != nil {
			return err
		}
		after, err := bake.NewView(r.image, parts[i].Digest, parts[i].Image)
		if err != nil {
			return err
		}
		list, err := bake.CompareLayers(ctx, before.Image(), after.Image(), after.Steps())
		if err != nil {
			return err
		}
		r.report.Images = append(r.report.Images, rebuiltImage{
			Platform: rec.Image.Platforms[0], Stored: rec.Version, Rebuilt: parts[i].Digest,
			Config: compareSettings(settingsOf(before), settingsOf(after)), Layers: list,
		})
	}
	return nil
}

// findTemplate finds the template by name and hash in a checkout; of several
// that below prefix, else the first.
func findTemplate(dir, prefix string, want bake.Dependency) (string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && e.Name() == ".git":
			return fs.SkipDir
		case e.Name() != want.URI || !e.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(p)
		if err == nil && digest.FromBytes(data).Encoded() == want.Digest["sha256"] {
			rel, _ := filepath.Rel(dir, p)
			found = append(found, rel)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", fmt.Errorf("the commit has no %s with the recorded content sha256:%s", want.URI, want.Digest["sha256"])
	}
	for _, p := range found {
		if filepath.ToSlash(filepath.Dir(p))+"/" == prefix || prefix == "" && filepath.Dir(p) == "." {
			return p, nil
		}
	}
	return found[0], nil
}
