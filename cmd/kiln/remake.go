package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"kiln/bake"
	"kiln/bake/template"
	"kiln/layers"
	"kiln/registry"
	"kiln/registry/promotion"
	"kiln/sign"
)

// remakeOptions are the flags that rebase and cascade share.
type remakeOptions struct {
	signing      signerFlags
	promote      string
	promotionKey string
	policy       string
	values       []string // of secrets
	allowDirty   bool
	jobs         int
	verbose      bool
}

func (o *remakeOptions) register(cmd *cobra.Command) {
	f := cmd.Flags()
	o.signing.register(f)
	f.StringVar(&o.promote, "promote", "", "promote what was rebased to this channel")
	f.StringVar(&o.promotionKey, "promotion-key", "", "private key that signs promotions (KILN_PROMOTION_KEY)")
	f.StringVar(&o.policy, "policy", "", policyFlagHelp)
	f.StringArrayVar(&o.values, "var", nil, "value of a secret that a run step needs, as NAME=value (repeatable)")
	f.BoolVar(&o.allowDirty, "allow-dirty", false, "sign although the version was baked from a working tree that differed from its commit")
	f.IntVar(&o.jobs, "jobs", runtime.GOMAXPROCS(0), "steps, tests and publications at once")
	f.BoolVar(&o.verbose, "verbose", false, "show what the steps print")
}

// remaker bakes versions again on other parents, as their records say.
type remaker struct {
	app     *app
	options remakeOptions
	backend *backend
	cache   *bake.Cache
	signer  *sign.Signer // nil: unsigned
	trust   promotion.Trust
	records *bake.Records
	values  map[string]string
	started time.Time
}

// remaker opens the store and reads key and trust; it writes nothing.
func (a *app) remaker(ctx context.Context, o remakeOptions) (*remaker, error) {
	m := &remaker{app: a, options: o, values: map[string]string{}, started: time.Now()}
	if o.jobs < 1 {
		return nil, usagef("--jobs %d: want 1 or more", o.jobs)
	}
	for _, v := range o.values {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, usagef("--var: want NAME=value")
		}
		m.values[name] = value
	}
	who := a.signing(o.signing)
	if who.nobody() && o.promote != "" {
		return nil, withHint(exitDenied, fmt.Errorf("--promote %s needs signed images, and there is no key", o.promote),
			"give --key FILE or KILN_KEY (kiln keygen makes one)")
	}
	if who.nobody() {
		a.say("no key: the images will not be signed (--key FILE or KILN_KEY; kiln keygen makes one)")
	}
	var err error
	if m.signer, err = a.signer(ctx, who); err != nil {
		return nil, err
	}
	if m.backend, err = a.open(ctx, purpose{promote: o.promote != "", promotionKey: o.promotionKey, policy: o.policy}); err != nil {
		return nil, err
	}
	if m.trust, err = m.backend.ops.Trust(ctx); err != nil {
		return nil, errors.Join(err, m.backend.Close())
	}
	m.records = m.backend.records(m.signer)
	if m.cache, err = a.openCache(); err != nil {
		return nil, errors.Join(err, m.backend.Close())
	}
	return m, nil
}

func (m *remaker) close() {
	m.app.closeCache(m.cache)
	_ = m.backend.Close()
}

// remade is a version that is made again on another parent.
type remade struct {
	image   string
	of      digest.Digest
	tag     string               // newest of the version
	onto    *remade              // its parent, where that is remade as well
	parent  registry.Reference   // its new parent, else
	records []*bake.StoredRecord // one for each platform
	images  []*template.Image    // the same, once they are recipes
	origin  *bake.Origin
}

// load reads how a version was made, and refuses what cannot be made again.
func (m *remaker) load(ctx context.Context, image string, d digest.Digest) (*remade, error) {
	r := &remade{image: image, of: d}
	list, err := m.backend.ops.Versions(ctx, promotion.VersionsRequest{Image: image, Digest: d})
	if err != nil {
		return nil, err
	}
	if len(list.Versions) == 0 {
		return nil, withHint(exitNotFound, fmt.Errorf("%s has no version %s", image, d), "kiln versions "+image+" lists them")
	}
	r.tag = list.Versions[0].Tags[0]
	if r.records, err = m.records.Parts(ctx, image, d); err != nil {
		return nil, unrecorded(err)
	}
	for _, rec := range r.records {
		if rec.Parent == nil {
			return nil, withHint(exitError, fmt.Errorf("%s@%s is from nothing: there is no parent to change", image, d), "bake it from its template")
		}
	}
	return r, nil
}

// unrecorded says what to do about a version that nothing tells the making of.
func unrecorded(err error) error {
	if errors.Is(err, bake.ErrNoRecord) {
		return withHint(exitNotFound, err, "bake the image once more from its template, which records it; a signed rebase believes only signed records")
	}
	return err
}

// settle makes recipes of a version for its new parent.
func (m *remaker) settle(r *remade) error {
	r.origin = r.records[0].Origin(r.tag)
	if r.origin.Revision.Dirty && m.signer != nil && !m.options.allowDirty {
		return withHint(exitDenied, fmt.Errorf("%s@%s was baked from a working tree that differed from its commit", r.image, r.of),
			"bake it from a commit, or sign it as it is with --allow-dirty")
	}
	for _, rec := range r.records {
		from := template.From{Kind: template.FromStore, Name: r.parent.Name, Digest: string(r.parent.Digest)}
		if r.parent.Host != "" {
			from.Kind, from.Host = template.FromRemote, r.parent.Host
		}
		if r.onto != nil {
			parent := sameArch(r.onto.images, rec.Image.Platforms[0])
			if parent == nil {
				return fmt.Errorf("%s has no image for %s, which %s is for", r.onto.image, rec.Image.Platforms[0], r.image)
			}
			from = template.From{Kind: template.FromImage, Image: parent, Name: r.onto.image}
		}
		img, err := rec.Remake(from, m.values)
		if err != nil {
			return err
		}
		if rec.Compression() == layers.Zstd {
			img.Compression = string(layers.Zstd) // whatever the image said
		}
		r.images = append(r.images, img)
	}
	return nil
}

func sameArch(images []*template.Image, platform string) *template.Image {
	i := slices.IndexFunc(images, func(im *template.Image) bool { return im.Platform() == platform })
	if i < 0 {
		return nil
	}
	return images[i]
}

// checkParent wants a parent that is there, not revoked, and signed where a key
// is known that may bake it.
func (m *remaker) checkParent(ctx context.Context, ref registry.Reference) error {
	if ref.Host != "" {
		return nil // as for a bake, its digest is what counts
	}
	if _, _, err := m.backend.registry.Manifest(ctx, ref.Name, ref.Digest); err != nil {
		return withHint(exitNotFound, fmt.Errorf("the new parent %s@%s: %w", ref.Name, ref.Digest, err))
	}
	if err := checkUsable(ctx, m.backend.ops, ref.Name, ref.Digest); err != nil {
		return err
	}
	var self []sign.Principal
	if m.signer != nil {
		self = append(self, m.signer.Principal())
	}
	verifier, err := bakersOf(m.trust, ref.Name, self...)
	if err != nil || verifier == nil {
		return err
	}
	if _, err := verifier.VerifyImage(ctx, m.backend.registry, ref.Name, ref.Digest); err != nil {
		return fmt.Errorf("the new parent %s@%s: %w", ref.Name, ref.Digest, err)
	}
	return nil
}

// remake bakes versions on their new parents, parents first. drop hears of each
// that cannot even be begun; nil has that be the error of the whole.
func (m *remaker) remake(ctx context.Context, all []*remade, observe func(bake.Event), drop func(*remade, error)) ([]bake.Baked, *bakeJob, error) {
	job := m.job(all)
	if err := m.app.checkTrust(ctx, job); err != nil {
		return nil, job, err
	}
	all, err := m.resolveAll(ctx, job, all, drop)
	if err != nil || len(all) == 0 {
		return nil, job, err
	}
	publishers := publishers{}
	job.recipe.Images = nil
	for _, r := range all {
		publisher := m.publisher(job, r)
		for _, img := range r.images {
			job.recipe.Images = append(job.recipe.Images, img)
			publishers[img] = publisher
		}
	}
	opts := m.app.builderOptions(ctx, job)
	opts.Records, opts.Observe = m.records, observe
	opts.Epoch = epochOf(all)
	builder, err := bake.NewBuilder(opts)
	if err != nil {
		return nil, job, err
	}
	baked, err := bake.Bake(ctx, bake.Request{
		Recipe: job.recipe, Builder: builder, Publisher: publishers,
		Warn: func(text string) { m.app.say("warning: %s", text) },
	})
	return baked, job, err
}

// job is the bake of versions on their new parents, with what their records say
// was locked.
func (m *remaker) job(all []*remade) *bakeJob {
	job := &bakeJob{
		bakeOptions: bakeOptions{promote: m.options.promote, promotionKey: m.options.promotionKey, jobs: m.options.jobs, verbose: m.options.verbose},
		recipe:      &template.Recipe{}, lock: &template.Lock{Images: map[string]template.LockedImage{}},
		cache: m.cache, signer: m.signer, backend: m.backend, started: m.started,
	}
	for _, r := range all {
		for i, img := range r.images {
			job.images = append(job.images, img)
			job.bakeOptions.targets = append(job.bakeOptions.targets, img.FullName)
			if locked := r.records[i].Locked; locked != nil {
				job.lock.Images[img.LockName()] = *locked
			}
		}
	}
	job.recipe.Images, job.targets = job.images, job.images
	return job
}

// epochOf is the SOURCE_DATE_EPOCH that versions were baked with; nil for none.
func epochOf(all []*remade) *time.Time {
	if e := all[0].records[0].Epoch; e != nil {
		t := time.Unix(*e, 0).UTC()
		return &t
	}
	return nil
}

// resolveAll chooses the packages of versions again, and gives back those for
// which that worked out.
func (m *remaker) resolveAll(ctx context.Context, job *bakeJob, all []*remade, drop func(*remade, error)) ([]*remade, error) {
	var left []*remade
	for _, r := range all {
		err := error(nil)
		if r.onto != nil && !slices.Contains(left, r.onto) {
			err = &bake.SkippedError{Image: r.image, Needs: r.onto.image}
		} else {
			err = m.resolve(ctx, job, r)
		}
		switch {
		case err == nil:
			left = append(left, r)
		case drop == nil || ctx.Err() != nil:
			return nil, err
		default:
			drop(r, err)
		}
	}
	return left, nil
}

// resolve chooses the packages of a version that installs some again, for its
// new parent, as kiln lock would.
func (m *remaker) resolve(ctx context.Context, job *bakeJob, r *remade) error {
	locker := bake.Locker{Cache: m.cache, Parents: m.backend.registry, Remote: m.app.remote(ctx)}
	for _, img := range r.images {
		if !img.Installs() {
			continue
		}
		line := &template.Recipe{}
		for p := img; p != nil; p = p.Parent() {
			line.Images = append([]*template.Image{p}, line.Images...)
		}
		old := job.lock.Images[img.LockName()]
		old.Inputs = ""
		job.lock.Images[img.LockName()] = old
		lock, err := locker.Lock(ctx, line, job.lock)
		if err != nil {
			return err
		}
		job.lock.Images[img.LockName()] = lock.Images[img.LockName()]
	}
	return nil
}

func (m *remaker) publisher(job *bakeJob, r *remade) bake.Publisher {
	p := &bake.RegistryPublisher{
		Registry: m.backend.registry, Versions: m.backend.baked(), Signer: m.signer,
		Variables: r.origin.Variables, Secrets: r.origin.Secrets, Revision: r.origin.Revision, Origin: r.origin,
		KeepInputs: true, Epoch: epochOf([]*remade{r}), Kiln: version(), Invocation: uuid.NewString(),
		Started: m.started, Now: time.Now,
	}
	if m.signer == nil {
		return p
	}
	return admitting{p, m.app.admit(job)}
}

// publishers publish each image with what its own origin says.
type publishers map[*template.Image]bake.Publisher

// Current implements bake.Publisher.
func (p publishers) Current(ctx context.Context, img *bake.Image) (string, error) {
	return p[img.Recipe].Current(ctx, img)
}

// Publish implements bake.Publisher.
func (p publishers) Publish(ctx context.Context, img *bake.Image) (string, error) {
	return p[img.Recipe].Publish(ctx, img)
}

// Lacking implements bake.Publisher.
func (p publishers) Lacking(ctx context.Context, img *bake.Image) []bake.Input {
	return p[img.Recipe].Lacking(ctx, img)
}
