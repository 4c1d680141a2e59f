package bake

import (
	"context"
	"maps"
	"slices"
	"strings"

	"kiln/bake/template"
)

// Outdated is what a lock pins of an image that would be pinned otherwise now.
type Outdated struct {
	Image    string            `json:"image"` // project/name
	Platform string            `json:"platform"`
	Stale    bool              `json:"stale"` // the template asks for other things than those locked
	Packages []OutdatedPackage `json:"packages"`
	Added    []OutdatedPackage `json:"added"`   // that newer versions need besides
	Removed  []OutdatedPackage `json:"removed"` // that they no longer need
	Moved    []Moved           `json:"moved"`
}

// OutdatedPackage is a package, as it is locked and as it could be.
type OutdatedPackage struct {
	Name      string `json:"name"`
	Arch      string `json:"arch"`
	Locked    string `json:"locked,omitempty"`
	Available string `json:"available,omitempty"`
	Suite     string `json:"suite,omitempty"` // that lists what is available
	// Security: the archive's security suite has a newer version than is locked.
	Security bool `json:"security"`
}

// Moved is a reference that stands for something else than is locked.
type Moved struct {
	What   string `json:"what"` // "from", "image" (that a step reads), "git" or "go"
	Ref    string `json:"ref"`
	Locked string `json:"locked"`
	Now    string `json:"now"`
}

// Any says whether anything is outdated.
func (o Outdated) Any() bool {
	return o.Stale || len(o.Packages)+len(o.Added)+len(o.Removed)+len(o.Moved) > 0
}

// Outdated compares a lock with archives, channels and repositories as they are
// now: image by image, in the recipe's order. It changes nothing but the cache.
func (l *Locker) Outdated(ctx context.Context, recipe *template.Recipe, lock *template.Lock) ([]Outdated, error) {
	fresh := *l
	fresh.Refresh = true
	next, err := fresh.Lock(ctx, recipe, lock)
	if err != nil {
		return nil, err
	}
	stale := lock.Stale(recipe)
	list := []Outdated{}
	for _, img := range recipe.Images {
		if !template.NeedsLock(img) {
			continue
		}
		have, now := lock.Images[img.LockName()], next.Images[img.LockName()]
		o := Outdated{
			Image: img.FullName, Platform: img.Platform(), Stale: slices.Contains(stale, img),
			Packages: []OutdatedPackage{}, Added: []OutdatedPackage{}, Removed: []OutdatedPackage{}, Moved: moved(img, have, now),
		}
		if err := fresh.outdatedPackages(ctx, img, have, now, &o); err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, nil
}

func (l *Locker) outdatedPackages(ctx context.Context, img *template.Image, have, now template.LockedImage, o *Outdated) error {
	if !img.Installs() {
		return nil
	}
	archive, err := l.archive(ctx, img, now.Suite) // which Lock opened
	if err != nil {
		return err
	}
	type id struct{ name, arch string }
	locked, kept := map[id]template.LockedPackage{}, map[id]bool{}
	for _, p := range have.Packages {
		locked[id{p.Name, p.Arch}] = p
	}
	for _, p := range now.Packages {
		kept[id{p.Name, p.Arch}] = true
		was, there := locked[id{p.Name, p.Arch}]
		update := OutdatedPackage{Name: p.Name, Arch: p.Arch, Locked: was.Version, Available: p.Version, Suite: p.Suite}
		switch {
		case !there:
			o.Added = append(o.Added, update)
		case was.Version != p.Version:
			for _, newer := range archive.Newer(p.Name, was.Version, p.Arch) {
				update.Security = update.Security || isSecurity(newer.Suite)
			}
			o.Packages = append(o.Packages, update)
		}
	}
	for _, p := range have.Packages {
		if !kept[id{p.Name, p.Arch}] {
			o.Removed = append(o.Removed, OutdatedPackage{Name: p.Name, Arch: p.Arch, Locked: p.Version})
		}
	}
	return nil
}

// isSecurity tells a suite of security updates, as Debian and Ubuntu name them.
func isSecurity(suite string) bool {
	return strings.HasSuffix(suite, "-security") || strings.HasSuffix(suite, "/updates")
}

// moved compares what references stand for.
func moved(img *template.Image, have, now template.LockedImage) []Moved {
	list := []Moved{}
	if have.FromDigest != "" && have.FromDigest != now.FromDigest {
		list = append(list, Moved{"from", img.From.String(), have.FromDigest, now.FromDigest})
	}
	note := func(what string, have, now map[string]string) {
		for _, ref := range slices.Sorted(maps.Keys(have)) {
			if n, ok := now[ref]; ok && n != have[ref] {
				list = append(list, Moved{what, ref, have[ref], n})
			}
		}
	}
	note("image", have.Froms, now.Froms)
	note("git", have.Git, now.Git)
	if have.Go != "" && have.Go != now.Go {
		list = append(list, Moved{"go", "the host's Go", have.Go, now.Go})
	}
	return list
}
