package bake

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"kiln/bake/dockerfile"
	"kiln/bake/template"
)

// unpack adds what an archive holds, if the file is one: a tar, as it is or
// compressed with gzip, bzip2, xz or zstd, told by its content. As in BuildKit
// its files keep owners and modes: --chown and --chmod are for the folder that
// receives them.
func (g *gathering) unpack(ctx context.Context, rel string, it item) (bool, error) {
	return g.spread(ctx, rel, it.SHA256, func() (string, error) { return g.spool(it) })
}

// spread adds the content of an archive; file puts it where it can be read.
func (g *gathering) spread(ctx context.Context, name, sum string, file func() (string, error)) (bool, error) {
	list, err := g.archive(ctx, sum, file)
	if err != nil {
		return false, fmt.Errorf("archive %q: %w", name, err)
	}
	if len(list) == 0 {
		return false, nil
	}
	content := sync.OnceValues(func() (string, error) {
		archive, err := file()
		if err != nil {
			return "", err
		}
		dir, done, err := g.cache.tempDir("archive")
		if err != nil {
			return "", err
		}
		g.cleanup = append(g.cleanup, done)
		_, err = unpack(ctx, archive, dir)
		return dir, err
	})
	for i, it := range list {
		if it.Kind == tar.TypeReg {
			list[i].Open = func() (io.ReadCloser, error) {
				dir, err := content()
				if err != nil {
					return nil, err
				}
				return openHashed(filepath.Join(dir, it.SHA256), it.SHA256)
			}
		}
	}
	g.sources = append(g.sources, dockerSource{Name: path.Base(name), Items: list, Spread: true})
	return true, nil
}

// archive lists an archive, the folder that receives it first; nothing if the
// file is none. The list is kept by the file's hash.
func (g *gathering) archive(ctx context.Context, sum string, file func() (string, error)) ([]item, error) {
	var list []item
	k := key("docker archive", sum) + ".json"
	if g.cache.load(&list, "places", k) {
		return list, nil
	}
	name, err := file()
	if err != nil {
		return nil, err
	}
	if isZip(name) {
		return nil, nil // which ADD leaves packed
	}
	found, err := unpack(ctx, name, "")
	switch {
	case errors.Is(err, errNoArchive):
	case err != nil:
		return nil, err
	default:
		list = []item{{Target: ".", Kind: tar.TypeDir, Mode: 0o755}}
		for _, it := range found {
			if it.Target != "." && it.Target != "" {
				list = append(list, it)
			}
		}
	}
	return list, g.cache.save(list, "places", k)
}

func isZip(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 2)
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == "PK"
}

// spool copies a file that may change to where it cannot.
func (g *gathering) spool(it item) (string, error) {
	dir, done, err := g.cache.tempDir("archive")
	if err != nil {
		return "", err
	}
	g.cleanup = append(g.cleanup, done)
	in, err := it.Open()
	if err != nil {
		return "", err
	}
	defer in.Close()
	name := filepath.Join(dir, "archive")
	out, err := os.Create(name)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	return name, errors.Join(err, out.Close())
}

// remote fetches what ADD names by URL. Its hash stands in the Dockerfile.
func (g *gathering) remote(ctx context.Context, src string) error {
	if dockerfile.IsGit(src) {
		return fmt.Errorf("ADD %s: a git repository is not supported (use a git block beside dockerfile)", src)
	}
	sum, ok := strings.CutPrefix(g.copy.Checksum, "sha256:")
	if !ok || len(sum) != 64 {
		return fmt.Errorf("--checksum=%s is no sha256", g.copy.Checksum)
	}
	u, err := url.Parse(src)
	if err != nil || u.User != nil {
		return fmt.Errorf("ADD %s is no address without credentials", src)
	}
	name := path.Base(u.Path)
	if name == "." || name == "/" {
		return fmt.Errorf("ADD %s: the address ends in no name", src)
	}
	found, err := g.fetchContents(ctx, g.recipe, &template.Fetch{URL: src, SHA256: sum, Target: "."})
	if err != nil {
		return err
	}
	g.main.result.Inputs = append(g.main.result.Inputs, found.inputs...)
	file := func() (string, error) { return g.fetched(ctx, g.recipe, src, sum) }
	if g.copy.Unpack {
		if done, err := g.spread(ctx, name, sum, file); done || err != nil {
			return err
		}
	}
	it := found.items[0]
	it.Target, it.Mode = ".", 0o600
	open := it.Open
	it.Open = func() (io.ReadCloser, error) {
		if _, err := file(); err != nil {
			return nil, err
		}
		return open()
	}
	g.sources = append(g.sources, dockerSource{Name: name, Items: []item{g.settle(it)}})
	return nil
}
