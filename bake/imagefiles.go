package bake

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/layers"
)

// filesOf lists what img has at an absolute path, and below it, as its layers
// together show it: owners and modes as they are there. A symlink at the path
// is followed, those below are kept. Target is relative to the path, with "."
// for what is there itself, which comes first. The list is kept by the layers
// and the path; content is read only when an item is opened, within ctx.
func (b *Builder) filesOf(ctx context.Context, img v1.Image, p string) ([]item, error) {
	chain, err := chainOf(img)
	if err != nil {
		return nil, err
	}
	k := key("files and capabilities", chain, p)
	var list []sourceFile
	if !b.answer(ctx, &list, chain, "places", k) {
		ix, err := b.imageIndex(ctx, img)
		if err != nil {
			return nil, err
		}
		if list, err = listFiles(ix, p); err != nil {
			return nil, err
		}
		if err := b.keepAnswer(ctx, list, chain, "places", k); err != nil {
			return nil, err
		}
	}
	trees := sync.OnceValues(func() ([]string, error) { return b.lowers(ctx, img) })
	items := make([]item, len(list))
	for i, f := range list {
		items[i] = f.item
		if f.Kind == tar.TypeReg {
			items[i].Open = func() (io.ReadCloser, error) { return f.open(trees) }
		}
	}
	return items, nil
}

func (it item) isDir() bool { return it.Kind == tar.TypeDir }

// sourceFile is an item and where it lies in the image that it is from.
type sourceFile struct {
	item
	At string // relative to the root, no symlink on the way
}

// listFiles finds what an index has at a path, following symlinks to it.
func listFiles(ix *layers.Index, p string) ([]sourceFile, error) {
	root, err := follow(ix, p)
	if err != nil {
		return nil, err
	}
	n, _ := ix.Node(root)
	first, err := newSourceFile(root, ".", n)
	if err != nil {
		return nil, err
	}
	list := []sourceFile{first}
	if !n.IsDir() {
		return list, nil
	}
	for _, at := range ix.Paths() {
		rel, below := strings.CutPrefix(at, root+"/")
		if root == "." {
			rel, below = at, true
		}
		if !below {
			continue
		}
		n, _ := ix.Node(at)
		f, err := newSourceFile(at, rel, n)
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

// follow is the path at which p really lies, its last name followed too.
func follow(ix *layers.Index, p string) (string, error) {
	at := strings.TrimPrefix(p, "/")
	for range 40 { // as many links as Linux follows
		resolved, n, err := ix.Resolve(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("the image has no %s: %w", p, fs.ErrNotExist)
		case err != nil:
			return "", fmt.Errorf("%s in the image: %w", p, err)
		case n.Type != tar.TypeSymlink:
			return resolved, nil
		}
		at = path.Dir(resolved) + "/" + n.Link
		if strings.HasPrefix(n.Link, "/") {
			at = strings.TrimLeft(n.Link, "/")
		}
	}
	return "", fmt.Errorf("%s in the image: too many symlinks", p)
}

func newSourceFile(at, rel string, n layers.Node) (sourceFile, error) {
	f := sourceFile{At: at, item: item{
		Target: rel, Kind: n.Type, Mode: n.Mode, UID: n.UID, GID: n.GID, Link: n.Link, Size: n.Size,
	}}
	switch n.Type {
	case tar.TypeDir:
	case tar.TypeSymlink:
	case tar.TypeReg:
		f.Link = ""
		sum, ok := strings.CutPrefix(n.Digest, "sha256:")
		if !ok {
			return f, fmt.Errorf("/%s in the image: its layer does not say what is in it", at)
		}
		f.SHA256, f.Capability = sum, n.Capability
	default:
		return f, fmt.Errorf("/%s in the image is neither file, folder nor symlink (exclude it, or copy the folders that you need)", at)
	}
	return f, nil
}

// open reads the file out of the topmost unpacked layer that has it.
func (f sourceFile) open(trees func() ([]string, error)) (io.ReadCloser, error) {
	lowers, err := trees()
	if err != nil {
		return nil, err
	}
	for i := len(lowers) - 1; i >= 0; i-- {
		file, err := openBelow(lowers[i], f.At)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &unchanged{ReadCloser: file, name: "/" + f.At, hash: sha256.New(), want: f.SHA256}, nil
	}
	return nil, &fs.PathError{Op: "open", Path: "/" + f.At, Err: fs.ErrNotExist}
}

// openBelow opens a regular file of a tree; a name that leaves the tree, or is
// something else there, is not there.
func openBelow(tree, name string) (*os.File, error) {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	return root.Open(name)
}
