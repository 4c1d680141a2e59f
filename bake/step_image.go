package bake

import (
	"context"
	"fmt"
	"path"

	"github.com/opencontainers/go-digest"

	"kiln/bake/template"
)

// imageContents are files of another image. That image does not become a
// parent: of its layers only those are unpacked that the step reads.
func (b *Builder) imageContents(ctx context.Context, recipe *template.Image, c *template.ImageCopy) (contents, error) {
	img, err := b.source(ctx, recipe, c.From)
	if err != nil {
		return contents{}, err
	}
	items, err := b.filesOf(ctx, img.Image, c.Source)
	if err != nil {
		return contents{}, fmt.Errorf("%s: %w", img.Name, err)
	}
	leftOut, err := template.Matcher(c.Exclude)
	if err != nil {
		return contents{}, err
	}
	target := c.Target
	if c.Into && !items[0].isDir() {
		target = path.Join(target, path.Base(c.Source))
	}
	if target == "/" && !items[0].isDir() {
		return contents{}, fmt.Errorf("target / is no place for a file (name it, as in /app)")
	}
	kept := items[:0]
	for _, it := range items {
		if it.Target != "." && leftOut(it.Target, it.isDir()) {
			continue
		}
		it.Target = path.Join(target, it.Target)
		if c.Owned {
			it.UID, it.GID = c.UID, c.GID
		}
		kept = append(kept, it)
	}
	return contents{items: kept, inputs: []Input{imageInput(img)}}, nil
}

// source is an image that a step reads: one of the recipe, or one outside it,
// whose channel kiln lock turned into a digest.
func (b *Builder) source(ctx context.Context, recipe *template.Image, f template.From) (*Image, error) {
	if f.Kind == template.FromImage {
		built, ok := b.finished(f.Image)
		switch {
		case ok:
			return built, nil
		case b.planning:
			return nil, &missError{f.Image.FullName + " is built first"}
		}
		return nil, fmt.Errorf("image %q has not been built", f.Image.Name)
	}
	d := digest.Digest(f.Digest)
	if d == "" && b.Lock != nil {
		d = digest.Digest(b.Lock.Images[recipe.LockName()].Froms[f.String()])
	}
	if d == "" {
		return nil, fmt.Errorf("kiln.lock has no digest for %s (run kiln lock)", f)
	}
	reader, err := b.reader(f)
	if err != nil {
		return nil, err
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
	return img, samePlatform(recipe, img)
}

// imageInput records an image that a step read.
func imageInput(img *Image) Input {
	return Input{Dependency: Dependency{
		Name: "image", URI: "oci://" + path.Join(img.Host, img.Name) + "@" + string(img.Digest),
		Digest: map[string]string{string(img.Digest.Algorithm()): img.Digest.Encoded()},
	}}
}
