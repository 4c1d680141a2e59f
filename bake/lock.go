package bake

import (
	"context"
	"fmt"
	"strings"
	"time"

	"kiln/bake/debian"
	"kiln/bake/template"
	"kiln/registry"
)

// Locker pins the inputs of a recipe.
type Locker struct {
	Cache *Cache
	// Parents reads images outside the template; nil if there are none.
	Parents registry.Reader
	// Remote opens another registry by its host.
	Remote func(host string) (registry.Reader, error)
	// Refresh resolves every image again; otherwise only those whose inputs
	// changed.
	Refresh bool
	// Now judges Valid-Until and keys; zero means the machine's clock.
	Now time.Time

	builder  *Builder
	archives map[string]*debian.Archive  // by suite, mirror, keyring and architecture
	resolved map[string][]debian.Package // by Image.LockName: what this run chose
}

// Lock returns the lock of a recipe: old's entries where they still hold, the
// rest resolved against archive and store. old may be nil and is not changed.
func (l *Locker) Lock(ctx context.Context, recipe *template.Recipe, old *template.Lock) (*template.Lock, error) {
	next := &template.Lock{Images: map[string]template.LockedImage{}}
	if old != nil {
		for name, locked := range old.Images {
			next.Images[name] = locked
		}
	}
	l.archives, l.resolved = map[string]*debian.Archive{}, map[string][]debian.Package{}
	builder, err := NewBuilder(BuilderOptions{Cache: l.Cache, Parents: l.Parents, Remote: l.Remote, Lock: next})
	if err != nil {
		return nil, err
	}
	l.builder = builder
	stale := map[*template.Image]bool{}
	for _, img := range old.Stale(recipe) {
		stale[img] = true
	}
	for _, img := range recipe.Images {
		if !template.NeedsLock(img) || (!stale[img] && !l.Refresh) {
			continue
		}
		if err := l.image(ctx, img, next); err != nil {
			return nil, unlocked(img, err)
		}
	}
	next.Prune(recipe)
	return next, nil
}

// image pins one image in next.
func (l *Locker) image(ctx context.Context, img *template.Image, next *template.Lock) error {
	locked := template.LockedImage{Inputs: template.Inputs(img), Arch: archOf(img)}
	if img.Debian != nil {
		locked.Variant = img.Debian.Variant
	}
	parent, err := l.pinParent(ctx, img, &locked)
	if err != nil {
		return err
	}
	if err := l.pinReads(ctx, img, next.Images[img.LockName()], &locked); err != nil {
		return err
	}
	if !img.Installs() {
		next.Images[img.LockName()] = locked
		return nil
	}
	if locked.Suite, err = l.suite(ctx, img, parent); err != nil {
		return err
	}
	archive, err := l.archive(ctx, img, locked.Suite)
	if err != nil {
		return err
	}
	installed, err := l.installed(ctx, img, parent, archive, next)
	if err != nil {
		return err
	}
	pkgs, err := archive.Resolve(ctx, debian.Request{
		Variant: resolveVariant(locked.Variant), Packages: img.AllPackages(), Installed: installed,
	})
	if err != nil {
		return err
	}
	l.resolved[img.LockName()] = pkgs
	for _, p := range pkgs {
		locked.Packages = append(locked.Packages, template.LockedPackage{
			Name: p.Name, Version: p.Version, Arch: p.Arch, Suite: p.Suite, Path: p.Path, Size: p.Size, SHA256: p.SHA256,
		})
	}
	var before *template.LockedImage
	if have, ok := next.Images[img.LockName()]; ok {
		before = &have
	}
	locked = template.Update(before, locked, archive.Date())
	next.Images[img.LockName()] = locked
	return l.keepIndexes(locked, archive)
}

// archOf is Debian's name of an image's architecture.
func archOf(img *template.Image) string {
	_, arch, _ := strings.Cut(img.Platform(), "/")
	return debian.Arch(arch)
}

// resolveVariant: a distroless image is made in the shadow of a minbase tree.
func resolveVariant(variant string) string {
	if variant == template.VariantDistroless {
		return template.VariantMinbase
	}
	return variant
}

// pinParent finds the digest of a parent outside the template.
func (l *Locker) pinParent(ctx context.Context, img *template.Image, locked *template.LockedImage) (*Image, error) {
	switch kind := img.From.Kind; {
	case kind == template.FromScratch, kind == template.FromImage:
		return nil, nil
	case img.From.Moves():
		d, err := l.tagged(ctx, img.From)
		if err != nil {
			return nil, lost(img, &img.From, fmt.Errorf("from %w", err))
		}
		locked.FromDigest = d
	default:
		locked.FromDigest = img.From.Digest
	}
	if !img.Installs() {
		return nil, nil
	}
	l.builder.Lock.Images[img.LockName()] = *locked
	parent, err := l.builder.outside(ctx, img)
	if err != nil {
		return nil, err
	}
	if err := l.builder.needDpkg(ctx, parent.Image); err != nil {
		return nil, fmt.Errorf("from %s: %w", img.From, err)
	}
	return parent, nil
}

// suite is the template's, or what the parent's os-release says.
func (l *Locker) suite(ctx context.Context, img *template.Image, parent *Image) (string, error) {
	if s := img.Suite(); s != "" {
		return s, nil
	}
	if parent == nil {
		return "", fmt.Errorf("no suite: say debian { suite = … } here or in a parent")
	}
	text, err := l.builder.file(ctx, parent, "usr/lib/os-release")
	if err != nil {
		return "", fmt.Errorf("read the suite of %s: %w (say debian { suite = … } beside from)", parent.Name, err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if v, ok := strings.CutPrefix(line, "VERSION_CODENAME="); ok {
			return strings.Trim(v, `"'`), nil
		}
	}
	return "", fmt.Errorf("%s has no VERSION_CODENAME in its os-release (say debian { suite = … } beside from)", parent.Name)
}

// archive opens the sources of an image once for all images that share them.
func (l *Locker) archive(ctx context.Context, img *template.Image, suite string) (*debian.Archive, error) {
	sources, err := Sources(img, suite)
	if err != nil {
		return nil, err
	}
	id := key("archive", sources, archOf(img))
	if a, ok := l.archives[id]; ok {
		return a, nil
	}
	a, err := debian.Open(ctx, debian.Options{
		Sources: sources, Arch: archOf(img), Cache: l.Cache.indexCache(),
		Now: l.Now, State: l.Cache.path("archive", "seen"),
	})
	if err == nil {
		l.archives[id] = a
	}
	return a, err
}

// installed lists what the parents of an image have.
func (l *Locker) installed(ctx context.Context, img *template.Image, outside *Image, archive *debian.Archive, next *template.Lock) ([]debian.Installed, error) {
	if outside != nil {
		return l.outside(ctx, outside)
	}
	var all []debian.Installed
	for p := img.Parent(); p != nil; p = p.Parent() {
		if p.Installs() {
			pkgs, err := l.chosen(ctx, p, archive, next)
			if err != nil {
				return nil, err
			}
			for _, pkg := range pkgs {
				all = append(all, asInstalled(pkg))
			}
		}
		if p.Parent() == nil && p.From.Kind != template.FromScratch {
			root, err := l.builder.outside(ctx, p)
			if err != nil {
				return nil, err
			}
			below, err := l.outside(ctx, root)
			if err != nil {
				return nil, err
			}
			all = append(all, below...)
		}
	}
	return all, nil
}

// outside lists what a parent has that the template does not make.
func (l *Locker) outside(ctx context.Context, parent *Image) ([]debian.Installed, error) {
	if err := l.builder.needDpkg(ctx, parent.Image); err != nil {
		return nil, fmt.Errorf("%s: %w", parent.Name, err)
	}
	return l.builder.installed(ctx, parent)
}

// chosen returns the packages of a parent in the template: as this run
// resolved them, or as they are locked, with what the archive says of them.
func (l *Locker) chosen(ctx context.Context, p *template.Image, archive *debian.Archive, next *template.Lock) ([]debian.Package, error) {
	if pkgs, ok := l.resolved[p.LockName()]; ok {
		return pkgs, nil
	}
	locked := next.Images[p.LockName()].Packages
	var pkgs []debian.Package
	for _, lp := range locked {
		pkg, ok := archive.Find(lp.Name, lp.Version, lp.Arch)
		if !ok {
			return nil, fmt.Errorf("the archive has moved on from %s %s of image %q, which this is from (run kiln lock --update)", lp.Name, lp.Version, p.Name)
		}
		pkgs = append(pkgs, pkg)
	}
	l.resolved[p.LockName()] = pkgs
	return pkgs, nil
}

func asInstalled(p debian.Package) debian.Installed {
	return debian.Installed{
		Name: p.Name, Version: p.Version, Arch: p.Arch, MultiArch: p.MultiArch, Essential: p.Essential,
		Priority: p.Priority, Source: p.Source, Depends: p.Depends, PreDepends: p.PreDepends,
		Provides: p.Provides, Conflicts: p.Conflicts, Breaks: p.Breaks, Replaces: p.Replaces,
	}
}

// Sources are where packages of a suite come from for an image: what its
// debian block says, or the host's own apt.
func Sources(img *template.Image, suite string) ([]debian.Source, error) {
	d := img.Archive()
	if d == nil || d.Mirror == "" {
		sources, err := debian.Host{Arch: archOf(img)}.Sources(suite)
		return withDeclared(sources, d), err
	}
	var keyring []string
	if d.Keyring != "" {
		keyring = []string{d.Keyring}
	}
	return withDeclared(debian.MirrorSources(suite, d.Mirror, d.Components, keyring), d), nil
}

func withDeclared(sources []debian.Source, d *template.Debian) []debian.Source {
	if d == nil {
		return sources
	}
	for _, s := range d.Sources {
		sources = append(sources, debian.Source{
			Mirror: s.Mirror, Suite: s.Suite, Components: s.Components, Keyring: []string{s.Keyring},
		})
	}
	return sources
}
