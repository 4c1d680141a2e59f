package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"kiln/bake"
	"kiln/bake/debian"
	"kiln/bake/template"
	"kiln/sign"
)

// bakeOptions are the flags of kiln bake.
type bakeOptions struct {
	targets      []string
	signing      signerFlags
	promote      string
	promotionKey string
	policy       string
	vars         []string
	allowDirty   bool
	output       []string
	plan         bool
	verbose      bool
	jobs         int
}

func (a *app) bakeCommand() *cobra.Command {
	var o bakeOptions
	cmd := &cobra.Command{
		Use:   "bake PATH",
		Short: "Build, test, sign and store the images of a template",
		Long: "bake builds the images of PATH/kiln.hcl, runs their tests, signs them and stores them by\n" +
			"digest under an immutable version tag. What did not change is not built again.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asRoot(cmd.Context(), func() error { return a.bake(cmd.Context(), args[0], o) })
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.targets, "target", nil, "image to bake, with what it is from (repeatable; default all)")
	o.signing.register(f)
	f.StringVar(&o.promote, "promote", "", "promote the targets (default: the leaves) to this channel")
	f.StringVar(&o.promotionKey, "promotion-key", "", "private key that signs promotions (KILN_PROMOTION_KEY)")
	f.StringVar(&o.policy, "policy", "", policyFlagHelp)
	f.StringArrayVar(&o.vars, "var", nil, "set a variable, as name=value (repeatable)")
	f.BoolVar(&o.allowDirty, "allow-dirty", false, "sign although the working tree differs from its commit")
	f.StringArrayVar(&o.output, "output", nil, "also write the targets to "+outputForms+" (repeatable)")
	f.BoolVar(&o.plan, "plan", false, "print what would be built and what is cached, and build nothing")
	f.IntVar(&o.jobs, "jobs", runtime.GOMAXPROCS(0), "steps, tests and publications at once")
	f.BoolVar(&o.verbose, "verbose", false, "show what the steps print")
	return cmd
}

func (a *app) bake(ctx context.Context, path string, o bakeOptions) error {
	started := time.Now()
	if a.json {
		a.events = newJSONEvents(a.err, o.verbose)
		defer func() { a.events = nil }()
	}
	job, err := a.prepare(ctx, path, o)
	if err != nil {
		return err
	}
	defer job.backend.Close()
	defer a.closeCache(job.cache)
	if o.plan {
		return a.plan(ctx, job)
	}
	if err := a.checkTrust(ctx, job); err != nil {
		return err
	}
	if err := a.ensureLock(ctx, job); err != nil {
		return err
	}
	baked, err := a.build(ctx, job)
	if err != nil {
		return err
	}
	if err = checkBaked(ctx, job.backend.ops, baked); err == nil {
		err = a.writeOutputs(ctx, job, baked)
	}
	if err == nil {
		err = a.promoteBaked(ctx, job, baked)
	}
	// The versions are stored, whatever became of the rest.
	if printed := a.printBaked(baked, time.Since(started)); err == nil {
		err = printed
	}
	return err
}

// bakeJob is what prepare found out before anything is built.
type bakeJob struct {
	bakeOptions
	recipe   *template.Recipe
	images   []*template.Image // to bake, parents first
	targets  []*template.Image
	outputs  []bakeOutput
	lock     *template.Lock // nil if there is none yet
	revision bake.Revision
	cache    *bake.Cache
	signer   *sign.Signer // nil: unsigned
	epoch    *time.Time
	backend  *backend
	started  time.Time
}

// prepare reads everything and refuses what cannot end well, writing nothing.
func (a *app) prepare(ctx context.Context, path string, o bakeOptions) (*bakeJob, error) {
	job := &bakeJob{bakeOptions: o, started: time.Now()}
	var err error
	if job.outputs, err = parseOutputs(o.output); err != nil {
		return nil, err
	}
	if o.jobs < 1 {
		return nil, usagef("--jobs %d: want 1 or more", o.jobs)
	}
	if job.recipe, err = a.loadTemplate(ctx, path, o.vars); err != nil {
		return nil, err
	}
	asked := bake.AskRevision(ctx, job.recipe.Dir, !a.signing(job.signing).nobody())
	if job.images, err = job.recipe.Select(o.targets); err != nil {
		return nil, withHint(exitNotFound, err)
	}
	job.targets = selected(job.images, o.targets)
	if err := job.checkOutputs(); err != nil {
		return nil, err
	}
	if job.lock, err = readLock(job.recipe.Dir); err != nil {
		return nil, damagedLock(job.recipe, err)
	}
	if job.epoch, err = a.sourceDateEpoch(); err != nil {
		return nil, err
	}
	reads, err := readsOf(job.recipe)
	if err != nil {
		return nil, err
	}
	job.revision = asked.Revision(reads)
	if err := a.chooseSigner(ctx, job); err != nil {
		return nil, err
	}
	if job.cache, err = a.openCache(); err != nil {
		return nil, err
	}
	if o.plan {
		job.backend, err = a.openIfThere(ctx)
	} else {
		job.backend, err = a.open(ctx, purpose{create: true, promote: o.promote != "", promotionKey: o.promotionKey, policy: o.policy})
	}
	if err != nil {
		job.cache.Close()
	}
	return job, err
}

// chooseSigner decides whether the bake signs, and refuses promotions of what
// would not be signed.
func (a *app) chooseSigner(ctx context.Context, job *bakeJob) error {
	who := a.signing(job.signing)
	if job.promote != "" && who.nobody() {
		return withHint(exitDenied, fmt.Errorf("--promote %s needs signed images, and there is no key", job.promote),
			"give --key FILE or KILN_KEY (kiln keygen makes one)")
	}
	if job.revision.Dirty && !job.allowDirty {
		if job.promote != "" {
			return withHint(exitDenied, fmt.Errorf("--promote %s: %s", job.promote, dirtyReason(job.revision)),
				"commit the change and bake again, or sign it as it is with --allow-dirty")
		}
		if !who.nobody() {
			a.say("%s: the images will not be signed (commit, or give --allow-dirty)", dirtyReason(job.revision))
			return nil
		}
	}
	if who.nobody() && !job.plan {
		a.say("no key: the images will not be signed (--key FILE or KILN_KEY; kiln keygen makes one)")
		return nil
	}
	var err error
	job.signer, err = a.signer(ctx, who)
	return err
}

func dirtyReason(r bake.Revision) string {
	if r.Problem != "" {
		return r.Problem
	}
	if r.Commit == "" {
		return "the template is not in a git commit"
	}
	return "the working tree differs from commit " + r.Short()
}

// build bakes the images and reports as it goes.
func (a *app) build(ctx context.Context, job *bakeJob) ([]bake.Baked, error) {
	publisher, err := a.publisher(job)
	if err != nil {
		return nil, err
	}
	opts := a.builderOptions(ctx, job)
	observe, end := a.watch(ctx, job.verbose)
	opts.Observe = observe
	builder, err := bake.NewBuilder(opts)
	if err != nil {
		end()
		return nil, err
	}
	baked, err := bake.Bake(ctx, bake.Request{
		Recipe: job.recipe, Targets: job.bakeOptions.targets, Builder: builder, Publisher: publisher,
		Warn: func(text string) { a.say("warning: %s", text) },
	})
	end()
	for _, b := range baked {
		a.sayBaked(b, job.signer != nil)
	}
	return baked, err
}

func (a *app) builderOptions(ctx context.Context, job *bakeJob) bake.BuilderOptions {
	return bake.BuilderOptions{
		NoOverlay: a.getenv("KILN_OVERLAY") == "off",
		Cache:     job.cache, Lock: job.lock, Parents: job.backend.registry, Remote: a.remote(ctx), Epoch: job.epoch,
		Records: job.backend.records(job.signer),
		Scanner: newSecretScanner(),
		Sources: func(img *template.Image, locked template.LockedImage) ([]debian.Source, error) {
			return bake.Sources(img, locked.Suite)
		},
		Jobs: job.jobs,
	}
}

func (a *app) sayBaked(b bake.Baked, signed bool) {
	switch {
	case !b.Built:
		a.say("%s: nothing changed: %s", b.Name, b.Tag)
	case signed:
		a.say("%s: stored and signed: %s", b.Name, b.Tag)
	default:
		a.say("%s: stored, unsigned: %s", b.Name, b.Tag)
	}
}

func (a *app) publisher(job *bakeJob) (bake.Publisher, error) {
	text, err := fileInput("template", job.recipe.File)
	if err != nil {
		return nil, err
	}
	lock, err := fileInput("lock", filepath.Join(job.recipe.Dir, template.LockFileName))
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	files, err := filesRead(job.recipe)
	if err != nil {
		return nil, err
	}
	publisher := &bake.RegistryPublisher{
		Files: files, Variables: job.recipe.Variables, Secrets: job.recipe.Secrets,
		Registry: job.backend.registry, Versions: job.backend.baked(), Signer: job.signer,
		Revision: job.revision, Template: text, Lock: lock, KeepInputs: true, Epoch: job.epoch,
		Kiln: version(), Invocation: uuid.NewString(), Started: job.started, Now: time.Now,
	}
	if job.signer == nil {
		return publisher, nil
	}
	return admitting{publisher, a.admit(job)}, nil
}

// sourceDateEpoch reads SOURCE_DATE_EPOCH (reproducible-builds.org).
func (a *app) sourceDateEpoch() (*time.Time, error) {
	text := a.getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return nil, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return nil, usagef("SOURCE_DATE_EPOCH %q: want seconds since 1970", text)
	}
	t := time.Unix(seconds, 0).UTC()
	return &t, nil
}

// selected are the images that the targets name; all without any.
func selected(images []*template.Image, targets []string) []*template.Image {
	if len(targets) == 0 {
		return images
	}
	var list []*template.Image
	for _, img := range images {
		if slices.Contains(targets, img.Name) || slices.Contains(targets, img.FullName) {
			list = append(list, img)
		}
	}
	return list
}
