package bake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"kiln/bake/debian"
	"kiln/bake/template"
	"kiln/registry"
)

// obtain brings .debs into the cache and returns their paths by sha256: from
// there, from the inputs that versions of the image and of its parents kept in
// the store, from the archive, or from what the recipe's other images kept.
func (b *Builder) obtain(ctx context.Context, recipe *template.Image, locked template.LockedImage, pkgs []debian.Package) (map[string]string, error) {
	line := b.line(recipe)
	b.fromStore(ctx, line, pkgs)
	files, err := b.fromArchive(ctx, recipe, locked, pkgs)
	if err == nil || ctx.Err() != nil {
		return files, err
	}
	b.fromStore(ctx, append(line, b.others(recipe, line)...), pkgs)
	if b.allCached(pkgs) {
		return debian.Fetch(ctx, pkgs, nil, b.debs(), fetchWorkers)
	}
	if gone := (*debian.GoneError)(nil); errors.As(err, &gone) {
		return nil, fmt.Errorf("the store has no copy: %w", err)
	}
	return nil, fmt.Errorf("%w: neither cache nor store has it (bake again when the archive answers; if it has moved on, run kiln lock --update)", err)
}

// fromArchive fetches what the cache lacks from the sources of the image.
func (b *Builder) fromArchive(ctx context.Context, recipe *template.Image, locked template.LockedImage, pkgs []debian.Package) (map[string]string, error) {
	sources, err := b.Sources(recipe, locked)
	if err != nil && !b.allCached(pkgs) {
		return nil, err
	}
	return debian.Fetch(ctx, pkgs, sources, b.debs(), fetchWorkers)
}

// gather brings inputs of a built image into the cache that its publisher
// wants to store. Those of a layer that was just made are there.
func (b *Builder) gather(ctx context.Context, img *Image, lacking []Input) error {
	wanted := map[string]bool{}
	for _, in := range lacking {
		wanted[in.Digest["sha256"]] = true
		if in.Name != fetchName {
			continue
		}
		if _, err := b.fetched(ctx, img.Recipe, in.URI, in.Digest["sha256"]); err != nil {
			return err
		}
	}
	pkgs := slices.DeleteFunc(packagesOf(img.Locked), func(p debian.Package) bool { return !wanted[p.SHA256] })
	if len(pkgs) == 0 {
		return nil
	}
	_, err := b.obtain(ctx, img.Recipe, img.Locked, pkgs)
	return err
}

func packagesOf(locked template.LockedImage) []debian.Package {
	pkgs := make([]debian.Package, len(locked.Packages))
	for i, p := range locked.Packages {
		pkgs[i] = debian.Package{Name: p.Name, Version: p.Version, Arch: p.Arch, Suite: p.Suite, Path: p.Path, Size: p.Size, SHA256: p.SHA256}
	}
	return pkgs
}

// line names an image and those that it is from, as far as the store may have
// them.
func (b *Builder) line(recipe *template.Image) []string {
	var names []string
	for p := recipe; p != nil; p = p.Parent() {
		names = append(names, p.FullName)
		if p.From.Kind == template.FromStore || p.From.Kind == template.FromChannel {
			names = append(names, p.From.Name)
		}
	}
	return names
}

// others names the images of the recipe that are not in line: those that are
// built, and those that the lock knows.
func (b *Builder) others(recipe *template.Image, line []string) []string {
	project := strings.TrimSuffix(recipe.FullName, recipe.Name)
	var names []string
	b.mu.Lock()
	for built := range b.built {
		names = append(names, built.FullName)
	}
	b.mu.Unlock()
	if b.Lock != nil {
		for name := range b.Lock.Images {
			name, _, _ = strings.Cut(name, " ") // of one platform
			names = append(names, project+name)
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return slices.Contains(line, name) })
}

// fromStore takes .debs that the cache lacks out of the inputs that versions
// of some images kept. What is not there is left to others.
func (b *Builder) fromStore(ctx context.Context, images []string, pkgs []debian.Package) {
	if b.Parents == nil {
		return
	}
	for _, image := range images {
		for _, p := range pkgs {
			if _, err := os.Stat(b.debs().Path(p.SHA256)); err == nil {
				continue
			}
			if err := b.fromImage(ctx, image, p); errors.Is(err, registry.CodeNameUnknown) || ctx.Err() != nil {
				break
			}
		}
	}
}

func (b *Builder) fromImage(ctx context.Context, image string, p debian.Package) error {
	rc, err := b.Parents.OpenBlob(ctx, image, digest.NewDigestFromEncoded(digest.SHA256, p.SHA256), 0, -1)
	if err != nil {
		return err
	}
	defer rc.Close()
	if _, err := b.debs().Add(p.SHA256, p.Size, rc); err != nil {
		fmt.Fprintf(b.Log, "stored input %s of %s is not usable: %v\n", p.Name, image, err)
	}
	return nil
}

func (b *Builder) allCached(pkgs []debian.Package) bool {
	for _, p := range pkgs {
		if _, err := os.Stat(b.debs().Path(p.SHA256)); err != nil {
			return false
		}
	}
	return true
}
