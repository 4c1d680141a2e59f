package bake

import (
	"context"
	"io/fs"
	"os"

	"kiln/bake/debian"
)

// file reads one small file of an image out of its unpacked layers.
func (b *Builder) file(ctx context.Context, img *Image, name string) ([]byte, error) {
	ix, err := b.imageIndex(ctx, img.Image)
	if err != nil {
		return nil, err
	}
	resolved, _, err := ix.Resolve(name)
	if err != nil {
		return nil, err
	}
	lowers, err := b.lowers(ctx, img.Image)
	if err != nil {
		return nil, err
	}
	for i := len(lowers) - 1; i >= 0; i-- {
		root, err := os.OpenRoot(lowers[i])
		if err != nil {
			return nil, err
		}
		data, err := root.ReadFile(resolved)
		root.Close()
		if err == nil {
			return data, nil
		}
	}
	return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
}

// installed reads the dpkg database of an image; an image without one has no
// packages.
func (b *Builder) installed(ctx context.Context, img *Image) ([]debian.Installed, error) {
	lowers, err := b.lowers(ctx, img.Image)
	if err != nil {
		return nil, err
	}
	return debian.InstalledIn(lowers)
}
