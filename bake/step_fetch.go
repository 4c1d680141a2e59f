package bake

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"kiln/bake/template"
)

// fetchContents are what an address delivers, or what is in the archive there.
// What that is is kept by its hash, so that a warm bake needs neither network
// nor the file.
func (b *Builder) fetchContents(ctx context.Context, recipe *template.Image, f *template.Fetch) (contents, error) {
	list, err := b.fetchedItems(ctx, recipe, f)
	if err != nil {
		return contents{}, err
	}
	c := contents{inputs: []Input{{
		Dependency: Dependency{Name: fetchName, URI: f.URL, Digest: map[string]string{"sha256": f.SHA256}},
		Path:       b.cache.fetchedPath(f.SHA256),
	}}}
	var dir string // of the unpacked files, once they are wanted
	c.load = func(ctx context.Context, scratch string) error {
		file, err := b.fetched(ctx, recipe, f.URL, f.SHA256)
		if err != nil || f.Extract == nil {
			return err
		}
		if dir = filepath.Join(scratch, "unpacked"); makeDirs(dir) != nil {
			return makeDirs(dir)
		}
		_, err = unpack(ctx, file, dir)
		return err
	}
	for _, it := range list {
		if it.Kind == tar.TypeReg {
			it.Open = func() (io.ReadCloser, error) {
				if f.Extract == nil {
					return openHashed(b.cache.fetchedPath(it.SHA256), it.SHA256)
				}
				return openHashed(filepath.Join(dir, it.SHA256), it.SHA256)
			}
		}
		it.UID, it.GID = f.UID, f.GID
		c.items = append(c.items, it)
	}
	return c, nil
}

// fetchedItems lists what a fetch puts into the image.
func (b *Builder) fetchedItems(ctx context.Context, recipe *template.Image, f *template.Fetch) ([]item, error) {
	k := key("fetched", f.SHA256, f.Extract != nil) + ".json"
	var list []item
	if !b.cache.load(&list, "places", k) {
		file, err := b.fetched(ctx, recipe, f.URL, f.SHA256)
		if err != nil {
			return nil, err
		}
		if list, err = lookInto(ctx, file, f); err != nil {
			return nil, fmt.Errorf("%s %w", f.URL, err)
		}
		if err := b.cache.save(list, "places", k); err != nil {
			return nil, err
		}
	}
	if f.Extract == nil {
		it := list[0]
		if it.Target, it.Mode = f.Target, 0o644; f.Mode != nil {
			it.Mode = *f.Mode
		}
		return []item{it}, nil
	}
	return extracted(list, f)
}

// lookInto reads what a fetched file is made of.
func lookInto(ctx context.Context, file string, f *template.Fetch) ([]item, error) {
	if f.Extract != nil {
		return unpack(ctx, file, "")
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	return []item{{Kind: tar.TypeReg, Size: info.Size(), SHA256: f.SHA256}}, nil
}

// extracted are the entries of an archive that a fetch wants, where it wants
// them. Set-id bits of strangers are dropped.
func extracted(list []item, f *template.Fetch) ([]item, error) {
	leftOut, err := template.Matcher(f.Extract.Exclude)
	if err != nil {
		return nil, err
	}
	items := []item{{Target: f.Target, Kind: tar.TypeDir, Mode: 0o755}}
	for _, it := range list {
		rel, ok := stripped(it.Target, f.Extract.Strip)
		if !ok || leftOut(rel, it.isDir()) {
			continue
		}
		it.Target = path.Join(f.Target, rel)
		if it.Mode &= 0o777; it.Kind == tar.TypeReg && f.Mode != nil {
			it.Mode = *f.Mode
		}
		items = append(items, it)
	}
	if len(items) == 1 {
		return nil, fmt.Errorf("nothing of %s is left (strip = %d and exclude cut everything off)", f.URL, f.Extract.Strip)
	}
	return items, nil
}

// openHashed opens a file that must have this hash when it is read to its end.
func openHashed(file, sum string) (io.ReadCloser, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	return &unchanged{ReadCloser: f, name: filepath.Base(file), hash: sha256.New(), want: sum}, nil
}
