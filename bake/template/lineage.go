package template

import (
	"fmt"
	"slices"
	"sort"
)

// Parent is the image of this recipe that im is made from, or nil.
func (im *Image) Parent() *Image {
	if im.From.Kind != FromImage {
		return nil
	}
	return im.From.Image
}

// Suite is the Debian suite that the recipe states for im or what it is made
// from; "" where only a parent outside the recipe knows.
func (im *Image) Suite() string {
	for ; im != nil; im = im.Parent() {
		if im.Debian != nil && im.Debian.Suite != "" {
			return im.Debian.Suite
		}
	}
	return ""
}

// Distroless says whether im is, or is made from, a distroless base of this
// recipe.
func (im *Image) Distroless() bool {
	for ; im != nil; im = im.Parent() {
		if im.Debian != nil && im.Debian.Variant == VariantDistroless {
			return true
		}
	}
	return false
}

// AllPackages are the packages that im itself asks for, in its debian block
// and beside it, sorted and without repeats.
func (im *Image) AllPackages() []string {
	list := slices.Clone(im.Packages)
	if im.Debian != nil {
		list = append(list, im.Debian.Packages...)
	}
	sort.Strings(list)
	return slices.Compact(list)
}

// Archive is the nearest debian block of im and what it is made from, or nil:
// where packages come from.
func (im *Image) Archive() *Debian {
	for ; im != nil; im = im.Parent() {
		if im.Debian != nil {
			return im.Debian
		}
	}
	return nil
}

// Platform is the platform of im, as linux/amd64.
func (im *Image) Platform() string { return im.Platforms[0] }

// Installs says whether im has a packages layer.
func (im *Image) Installs() bool {
	return len(im.AllPackages()) > 0 || (im.Debian != nil && im.From.Kind == FromScratch)
}

// Dockerfile is the Dockerfile that im is made by, or nil.
func (im *Image) Dockerfile() *Dockerfile {
	if len(im.Steps) > 0 {
		d, _ := im.Steps[0].(*Dockerfile)
		return d
	}
	return nil
}

// startsSomething says whether im can have an entrypoint or cmd; only a parent
// outside the recipe, or a Dockerfile, may bring one unseen.
func (im *Image) startsSomething() bool {
	for ; ; im = im.Parent() {
		if len(im.Config.Entrypoint)+len(im.Config.Cmd) > 0 || im.Dockerfile() != nil {
			return true
		}
		if im.Parent() == nil {
			return im.From.Kind != FromScratch
		}
	}
}

// Find is the image with a short or full name; the error names a near one.
func (r *Recipe) Find(name string) (*Image, error) {
	var known []string
	for _, im := range r.Images {
		if im.Name == name || im.FullName == name {
			return im, nil
		}
		known = append(known, im.Name, im.FullName)
	}
	if hint := DidYouMean(name, known); hint != "" {
		return nil, fmt.Errorf("the template has no image %q (%s)", name, hint)
	}
	return nil, fmt.Errorf("the template has no image %q", name)
}

// Select are the named images with all that they need, which comes first; all
// images when none is named.
func (r *Recipe) Select(names []string) ([]*Image, error) {
	if len(names) == 0 {
		return r.Images, nil
	}
	want := map[*Image]bool{}
	for _, name := range names {
		im, err := r.Find(name)
		if err != nil {
			return nil, err
		}
		r.include(want, im)
	}
	var list []*Image
	for _, im := range r.Images {
		if want[im] {
			list = append(list, im)
		}
	}
	return list, nil
}

// include adds im, its other platforms and all that these need.
func (r *Recipe) include(want map[*Image]bool, im *Image) {
	for _, sibling := range r.Siblings(im) {
		if want[sibling] {
			continue
		}
		want[sibling] = true
		for _, n := range sibling.Needs() {
			r.include(want, n)
		}
	}
}

// Leaves are the images that no other image needs.
func (r *Recipe) Leaves() []*Image {
	needed := map[string]bool{}
	for _, im := range r.Images {
		for _, n := range im.Needs() {
			needed[n.Name] = true
		}
	}
	var list []*Image
	for _, im := range r.Images {
		if !needed[im.Name] {
			list = append(list, im)
		}
	}
	return list
}

// lastComponent is what follows the last slash.
func lastComponent(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			return name[i+1:]
		}
	}
	return name
}
