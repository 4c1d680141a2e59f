package bake

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/bake/debian"
	"kiln/bake/dockerfile"
	"kiln/bake/template"
	"kiln/layers"
	"kiln/registry"
)

// Epoch is the time of folders and of copied and made files: the earliest
// that every archive format can hold.
var Epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// BuilderOptions says what a Builder works with.
type BuilderOptions struct {
	Cache *Cache
	Lock  *template.Lock
	// Parents reads images that lie outside the template; nil if there are none.
	Parents registry.Reader
	// Records finds layers that other machines made; nil looks for none.
	Records *Records
	// Remote opens another registry by its host; nil if the template names none.
	Remote func(host string) (registry.Reader, error)
	// Scanner looks for secrets in what was built; nil looks for none, and
	// nothing is attested then.
	Scanner Scanner
	// Sources of a suite, from the template or the host.
	Sources func(img *template.Image, locked template.LockedImage) ([]debian.Source, error)
	// Epoch overrides the time of copied and made files (SOURCE_DATE_EPOCH).
	Epoch *time.Time
	// Compression of the layers of images that say none; "" is gzip.
	Compression layers.Compression
	// NoOverlay has commands run on copies of the layers below: slower, with the
	// same layers as outcome. It happens by itself where there is no overlayfs.
	NoOverlay bool
	// Runs tells whether the host runs programs of an architecture; nil tries it.
	Runs func(goarch string) error
	// LookupEnv is where secrets of run steps come from; nil is the process's
	// environment.
	LookupEnv func(name string) (string, bool)
	// Log receives what steps print; nil discards it.
	Log io.Writer
	// Jobs is how many steps, tests and publications may run at once; 0 is one
	// for each core.
	Jobs int
	// Observe hears of what happens, from several goroutines at once; may be nil.
	Observe func(Event)
}

// Builder makes layers and images. It touches nothing but its cache.
type Builder struct {
	BuilderOptions
	cache    *Cache
	planning bool // make nothing, fail with errMiss instead
	budget   budget
	making   turns // by what is made in the cache
	readied  sync.Once

	mu        sync.Mutex
	built     map[*template.Image]*Image
	learned   map[string]known              // path indexes in the store, by diffID
	indexes   map[string]*layers.Index      // those that were read, by diffID
	newest    madeIndex                     // of the layer that was made last
	installs  map[string][]debian.Installed // what recalled steps left installed, by key
	outsiders []outsider                    // parents that the store was not asked about
	given     map[string][]*StoredRecord    // that images are made again from, by image
	details   []readDetail                  // of the store, the last used last
	merged    []mergedIndex                 // of whole images, the last used last
	unsure    bool                          // something that nobody signed was believed
	allowed   map[template.Pos]*allowNote   // of the scans
	plain     *plainTexts                   // nil before the first scan
}

// NewBuilder makes a Builder for one bake.
func NewBuilder(opts BuilderOptions) (*Builder, error) {
	if _, err := opts.Compression.Encoder(); err != nil {
		return nil, err
	}
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	return &Builder{
		BuilderOptions: opts, cache: opts.Cache, budget: newBudget(opts.Jobs),
		built: map[*template.Image]*Image{}, learned: map[string]known{},
		indexes: map[string]*layers.Index{}, installs: map[string][]debian.Installed{},
	}, nil
}

// state is an image under construction.
type state struct {
	recipe *template.Image
	parent *Image
	below  v1.Image // parent plus the steps so far; nil from nothing
	steps  []StepResult
	result *Image
	docker *dockerfile.Result // configuration that a Dockerfile gives; nil without one
	reads  []RecordRead       // images that a Dockerfile took files from
	log    io.Writer          // what the step at work prints
	made   func() made        // what the key of the step at work is made of; nil if nobody says
}

// Build makes one image, whose parents in the template must have been built
// before. Layers that the cache holds are not made again. The tests run later.
func (b *Builder) Build(ctx context.Context, recipe *template.Image) (*Image, error) {
	steps := b.pending(recipe)
	ahead, cancel := context.WithCancel(ctx)
	var preparing sync.WaitGroup
	preparing.Go(func() { b.prepareAll(ahead, []*job{{recipe: recipe, steps: steps}}) })
	defer preparing.Wait()
	defer cancel()
	return b.build(ctx, recipe, steps)
}

func (b *Builder) build(ctx context.Context, recipe *template.Image, steps []*pending) (*Image, error) {
	st := &state{recipe: recipe, result: &Image{Name: recipe.FullName, Recipe: recipe}}
	if err := b.within(ctx, lightWork, func() error { return b.start(ctx, st) }); err != nil {
		return nil, failed(recipe, recipe.Pos, "from", err)
	}
	for _, s := range steps {
		if err := s.wait(ctx); err != nil {
			return nil, failed(recipe, s.pos, s.name, err)
		}
		list, err := s.unfold(ctx, st)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			if err := b.within(ctx, s.weight(), func() error { return b.step(ctx, st, s) }); err != nil {
				return nil, err
			}
		}
	}
	if err := b.finish(st); err != nil {
		return nil, failed(recipe, recipe.Pos, "assemble", err)
	}
	b.note(recipe, st.result)
	return st.result, nil
}

// within does some work when the budget allows it.
func (b *Builder) within(ctx context.Context, weight int64, do func() error) error {
	release, err := b.budget.take(ctx, weight)
	if err != nil {
		return err
	}
	defer release()
	return do()
}

// finished is an image of the recipe, once it is built.
func (b *Builder) finished(recipe *template.Image) (*Image, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	img, ok := b.built[recipe]
	return img, ok
}

func (b *Builder) note(recipe *template.Image, img *Image) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.built[recipe] = img
}

// named is a step by the name that reports give it.
type named struct {
	name string
	pos  template.Pos
	// prepare does the work that does not depend on what lies below: fetching,
	// cloning, hashing. It runs before make, at most once at a time and beside
	// other steps' work, and leaves what it found to make. nil if there is none.
	prepare func(ctx context.Context) error
	make    maker
	// steps are those that it stands for, known only on what lies below; nil
	// for a step that is one.
	steps func(ctx context.Context, st *state) ([]named, error)
}

// unfold gives the steps that n stands for.
func (n named) unfold(ctx context.Context, st *state) ([]named, error) {
	if n.steps == nil {
		return []named{n}, nil
	}
	list, err := n.steps(ctx, st)
	if err != nil {
		return nil, failed(st.recipe, n.pos, n.name, err)
	}
	return list, nil
}

// weight of the step in jobs.
func (n named) weight() int64 {
	if n.name == packagesName {
		return heavyWork
	}
	return lightWork
}

// packagesName is the name of the step that installs an image's packages.
const packagesName = "packages"

// steps of an image in the order of its layers.
func (b *Builder) steps(recipe *template.Image) []named {
	var list []named
	if recipe.Installs() {
		list = append(list, named{name: packagesName, pos: recipe.Pos, make: b.packagesStep})
	}
	for _, s := range recipe.Steps {
		list = append(list, b.named(recipe, s))
	}
	if h := recipe.Hardening; h.Removes() {
		list = append(list, named{name: hardenName(h), pos: recipe.Pos, make: b.hardenStep})
	}
	return list
}

func (b *Builder) named(recipe *template.Image, s template.Step) named {
	n := named{name: stepName(s), pos: s.Position()}
	if def, ok := s.(*template.Dockerfile); ok {
		n.steps = func(ctx context.Context, st *state) ([]named, error) { return b.dockerSteps(ctx, st, def) }
		return n
	}
	if c, ok := s.(recordedConfig); ok {
		n.steps = func(_ context.Context, st *state) ([]named, error) { return nil, c.apply(st) }
		return n
	}
	g, ahead := b.gatherer(recipe, s)
	if g == nil {
		n.make = b.maker(s)
		return n
	}
	prepare, place := b.contentMaker(g)
	if n.make = place; ahead {
		n.prepare = prepare
	}
	return n
}

// start resolves the parent and what the image inherits from it.
func (b *Builder) start(ctx context.Context, st *state) error {
	parent, err := b.parent(ctx, st.recipe)
	if err != nil {
		return err
	}
	st.parent = parent
	st.result.Parent = parent
	st.result.Timestamp = Epoch
	if parent != nil {
		if err := samePlatform(st.recipe, parent); err != nil {
			return err
		}
		st.below = parent.Image
		st.result.Timestamp = parent.Timestamp
		st.result.Components = append(st.result.Components, parent.Components...)
	}
	if b.Lock != nil {
		st.result.Locked = b.Lock.Images[st.recipe.LockName()]
		if t, ok := b.Lock.Timestamp(st.recipe); ok {
			st.result.Timestamp = t
		}
	}
	if b.Epoch != nil {
		st.result.Timestamp = *b.Epoch
	}
	return nil
}

// made is the time of copied and made files and of folders.
func (b *Builder) made() time.Time {
	if b.Epoch != nil {
		return *b.Epoch
	}
	return Epoch
}

// maker builds one step on a state, or finds it in the cache.
type maker func(ctx context.Context, st *state, name string) (StepResult, error)

func (b *Builder) maker(s template.Step) maker {
	switch s := s.(type) {
	case *template.Run:
		return func(ctx context.Context, st *state, name string) (StepResult, error) {
			return b.runStep(ctx, st, name, s)
		}
	case *template.Declare:
		return func(ctx context.Context, st *state, name string) (StepResult, error) {
			return b.declareStep(ctx, st, name, s)
		}
	}
	return func(context.Context, *state, string) (StepResult, error) {
		return StepResult{}, fmt.Errorf("unknown step %T", s)
	}
}

// step runs one maker and puts its layer on top.
func (b *Builder) step(ctx context.Context, st *state, s named) error {
	start := time.Now()
	b.tell(st.recipe, Event{Type: StepStarted, Step: s.name})
	printed := b.printer(st.recipe, s.name)
	st.log = printed
	res, err := s.make(ctx, st, s.name)
	printed.flush()
	if err != nil {
		return failed(st.recipe, s.pos, s.name, err)
	}
	st.steps = append(st.steps, res)
	if res.layer != nil {
		if st.below, err = assemble(st, st.below, []StepResult{res}, nil); err != nil {
			return failed(st.recipe, s.pos, s.name, err)
		}
	}
	b.tell(st.recipe, Event{Type: StepFinished, Step: s.name, Cached: res.Cached, Took: time.Since(start), Digest: res.Digest, Reason: res.Reason})
	return nil
}

// failed says where and in what an error happened.
func failed(recipe *template.Image, pos template.Pos, step string, err error) error {
	if pos.File == "" { // of an image that is made again from its record
		return fmt.Errorf("image %q: %s: %w", recipe.LockName(), step, err)
	}
	return fmt.Errorf("%s: image %q: %s: %w", pos, recipe.LockName(), step, err)
}

// samePlatform refuses a parent of another platform.
func samePlatform(recipe *template.Image, parent *Image) error {
	config, err := parent.Image.ConfigFile()
	if err != nil {
		return err
	}
	want, err := platform(recipe)
	if err != nil {
		return err
	}
	if have := config.Platform(); have == nil || have.OS != want.OS || have.Architecture != want.Architecture {
		return fmt.Errorf("%s is for %v, this image for %v (set platforms to the parent's)", parent.Name, have, want)
	}
	return nil
}

// platform of an image, as the template says or the host is.
func platform(recipe *template.Image) (v1.Platform, error) {
	p, err := v1.ParsePlatform(recipe.Platform())
	if err != nil {
		return v1.Platform{}, fmt.Errorf("platform %q: %w", recipe.Platform(), err)
	}
	return *p, nil
}
