package bake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/bake/sandbox"
	"kiln/layers"
)

// lowers unpacks every layer of img that no bake unpacked before and returns
// the folders in overlayfs form, bottom first.
func (b *Builder) lowers(ctx context.Context, img v1.Image) ([]string, error) {
	if img == nil {
		return nil, errors.New("the image is empty: nothing can run in it (say from, or copy something first)")
	}
	all, err := img.Layers()
	if err != nil {
		return nil, err
	}
	var dirs, chain []string
	for _, l := range all {
		diff, err := l.DiffID()
		if err != nil {
			return nil, err
		}
		chain = append(chain, diff.String())
		dir, err := b.tree(ctx, l, dirs, key("tree", chain))
		if err != nil {
			return nil, fmt.Errorf("unpack layer %s: %w", diff, err)
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// tree returns the folder that holds a layer unpacked on the lowers. Folders
// that the layer only implies are as the lowers have them, so name stands for
// all of them together.
func (b *Builder) tree(ctx context.Context, layer v1.Layer, lowers []string, name string) (string, error) {
	end, err := b.making.wait(ctx, "tree "+name)
	if err != nil {
		return "", err
	}
	defer end()
	dir := b.cache.path("trees", b.treeForm(), name)
	if b.cache.claim("trees", b.treeForm(), name) {
		return dir, nil
	}
	tmp, done, err := b.cache.tempDir("tree")
	if err != nil {
		return "", err
	}
	defer done()
	content, err := layer.Uncompressed()
	if err != nil {
		return "", err
	}
	defer content.Close()
	root := filepath.Join(tmp, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		return "", err
	}
	opts := layers.ExtractOptions{Overlay: true, UserXattr: sandbox.InUserNamespace(), SkipDevices: sandbox.InUserNamespace(), Lowers: lowers}
	size := &counted{Reader: content}
	if err := layers.Extract(ctx, size, root, opts); err != nil {
		return "", err
	}
	b.cache.wrote(size.n)
	if err := makeDirs(filepath.Dir(dir)); err != nil {
		return "", err
	}
	if err := noteUsed(dir, size.n); err != nil {
		return "", err
	}
	return dir, b.cache.adopt(root, "trees", b.treeForm(), name)
}

// index returns the path index of a layer, reading the layer only when no
// bake has indexed it before.
func (b *Builder) index(ctx context.Context, layer v1.Layer) (*layers.Index, error) {
	diff, err := layer.DiffID()
	if err != nil {
		return nil, err
	}
	end, err := b.making.wait(ctx, "index "+diff.Hex)
	if err != nil {
		return nil, err
	}
	defer end()
	if ix, ok := b.knownIndex(ctx, diff); ok {
		return ix, nil
	}
	made, err := layers.IndexLayer(ctx, layer)
	if err != nil {
		return nil, fmt.Errorf("index layer %s: %w", diff, err)
	}
	return made, b.cache.save(made, "index", indexEntry(diff))
}

// madeIndex is the path index of a layer that was made.
type madeIndex struct {
	diff  v1.Hash
	index *layers.Index
}

// noteIndex keeps the index of a layer that was made, which is soon asked for.
func (b *Builder) noteIndex(diff v1.Hash, ix *layers.Index) error {
	b.mu.Lock()
	b.newest = madeIndex{diff, ix}
	b.mu.Unlock()
	return b.cache.save(ix, "index", indexEntry(diff))
}

// mergedIndex is the path index of a whole image.
type mergedIndex struct {
	chain string
	index *layers.Index
}

// maxMerged is how many indexes of whole images a builder keeps.
const maxMerged = 8

// imageIndex merges the indexes of img's layers.
func (b *Builder) imageIndex(ctx context.Context, img v1.Image) (*layers.Index, error) {
	if img == nil {
		return layers.NewIndex(), nil
	}
	chain, err := chainOf(img)
	if err != nil {
		return nil, err
	}
	all, err := img.Layers()
	if err != nil {
		return nil, err
	}
	name := strings.Join(chain, " ")
	end, err := b.making.wait(ctx, "index of "+name)
	if err != nil {
		return nil, err
	}
	defer end()
	if ix := b.mergedBefore(name); ix != nil {
		return ix, nil
	}
	merged, from := layers.NewIndex(), 0
	if n := len(chain) - 1; n > 0 { // what the step before merged
		if ix := b.mergedBefore(strings.Join(chain[:n], " ")); ix != nil {
			merged, from = ix, n
		}
	}
	for _, l := range all[from:] {
		ix, err := b.index(ctx, l)
		if err != nil {
			return nil, err
		}
		merged = merged.Merge(ix)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.merged = append(b.merged, mergedIndex{name, merged})
	if len(b.merged) > maxMerged {
		b.merged = b.merged[1:]
	}
	return merged, nil
}

// mergedBefore is an index of a whole image that is still at hand; else nil.
func (b *Builder) mergedBefore(chain string) *layers.Index {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.merged, func(m mergedIndex) bool { return m.chain == chain })
	if i < 0 {
		return nil
	}
	m := b.merged[i]
	b.merged = append(slices.Delete(b.merged, i, i+1), m)
	return m.index
}

// counted counts what is read.
type counted struct {
	io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

func isNotEmpty(err error) bool { return errors.Is(err, syscall.ENOTEMPTY) }
