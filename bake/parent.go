package bake

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"kiln/bake/template"
	"kiln/registry"
)

// parent finds what an image is from: one built before, one of the store, or
// one of another registry that the store was given. nil means from nothing.
func (b *Builder) parent(ctx context.Context, recipe *template.Image) (*Image, error) {
	switch f := recipe.From; f.Kind {
	case template.FromScratch:
		return nil, nil
	case template.FromImage:
		built, ok := b.finished(f.Image)
		if !ok {
			return nil, fmt.Errorf("image %q has not been built", f.Image.Name)
		}
		return built, nil
	default:
		return b.outside(ctx, recipe)
	}
}

// outside opens a parent that the template does not make. A channel or tag was
// turned into a digest by kiln lock.
func (b *Builder) outside(ctx context.Context, recipe *template.Image) (*Image, error) {
	f := recipe.From
	reader, err := b.reader(f)
	if err != nil {
		return nil, err
	}
	d := digest.Digest(f.Digest)
	if d == "" && b.Lock != nil {
		d = digest.Digest(b.Lock.Images[recipe.LockName()].FromDigest)
	}
	if d == "" {
		return nil, fmt.Errorf("kiln.lock has no digest for %s (run kiln lock)", f)
	}
	d, index, err := pick(ctx, reader, f.Name, d, recipe)
	if err != nil {
		return nil, err
	}
	img, err := stored(ctx, reader, f.Name, d)
	if err != nil {
		return nil, err
	}
	img.Host, img.Of = f.Host, index
	img.Components, err = b.componentsOf(ctx, outsider{img, recipe.FullName})
	return img, err
}

// reader opens the registry that a parent lies in.
func (b *Builder) reader(f template.From) (registry.Reader, error) {
	switch {
	case f.Kind == template.FromRemote && b.Remote != nil:
		return b.Remote(f.Host)
	case f.Kind != template.FromRemote && b.Parents != nil:
		return b.Parents, nil
	}
	return nil, errNoStore
}

// componentsOf lists the Debian packages of a parent from its dpkg database.
// The list is kept by digest.
func (b *Builder) componentsOf(ctx context.Context, o outsider) ([]Component, error) {
	var kept []Component
	img := o.parent
	b.meet(o)
	name := "components-" + img.Digest.Encoded() + ".json"
	if b.cache.load(&kept, "index", name) {
		return kept, nil
	}
	if list, ok := b.recallComponents(ctx, o); ok {
		if b.Records.Signed() {
			return list, b.cache.save(list, "index", name)
		}
		return list, nil
	}
	installed, err := b.installed(ctx, img)
	if err != nil {
		return nil, err
	}
	for _, p := range installed {
		kept = append(kept, Component{Name: p.Name, Version: p.Version, Arch: p.Arch, Source: p.Source})
	}
	return kept, b.cache.save(kept, "index", name)
}
