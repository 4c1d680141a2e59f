package bake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"kiln/layers"
	"kiln/registry"
)

// storeLayer is a layer of an image in the store that another bake made. Its
// bytes are read only when somebody needs them, and are checked then; what is
// not what the record says is not counted on again. It lives as long as the
// bake whose context it reads with.
type storeLayer struct {
	ctx    context.Context
	reader registry.Reader
	repo   string
	meta   layers.Meta
	spoilt func() // hears of damage
}

// metaOf is what is known of a step's layer.
func metaOf(l v1.Layer) (layers.Meta, error) {
	switch l := l.(type) {
	case cachedLayer:
		return l.Meta, nil
	case *storeLayer:
		return l.meta, nil
	}
	return layers.Meta{}, fmt.Errorf("unknown layer %T", l)
}

// Digest implements v1.Layer, as do the others.
func (l *storeLayer) Digest() (v1.Hash, error)            { return l.meta.Desc.Digest, nil }
func (l *storeLayer) DiffID() (v1.Hash, error)            { return l.meta.Diff, nil }
func (l *storeLayer) Size() (int64, error)                { return l.meta.Desc.Size, nil }
func (l *storeLayer) MediaType() (types.MediaType, error) { return l.meta.Desc.MediaType, nil }

// Compressed reads the blob. Its last read fails if it is not what its digest
// says.
func (l *storeLayer) Compressed() (io.ReadCloser, error) {
	r, err := l.reader.OpenBlob(l.ctx, l.repo, digest.Digest(l.meta.Desc.Digest.String()), 0, -1)
	if err != nil {
		if isAbsent(err) {
			l.spoilt()
		}
		return nil, fmt.Errorf("layer %s of %s: %w", l.meta.Desc.Digest, l.repo, err)
	}
	return l.checked(r, l.meta.Desc.Digest), nil
}

// Uncompressed reads the tar. Its last read fails if it is not the one of the
// record.
func (l *storeLayer) Uncompressed() (io.ReadCloser, error) {
	r, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	z, err := layers.Decompress(r)
	if err != nil {
		l.spoilt()
		r.Close()
		return nil, err
	}
	whole := io.MultiReader(z, drained{r})
	return l.checked(both{whole, z, r}, l.meta.Diff), nil
}

// drained reads what is left, for the check at its end.
type drained struct{ r io.Reader }

func (d drained) Read([]byte) (int, error) {
	if _, err := io.Copy(io.Discard, d.r); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

type both struct {
	io.Reader
	outer, inner io.Closer
}

func (b both) Close() error {
	err := b.outer.Close()
	if inner := b.inner.Close(); err == nil {
		err = inner
	}
	return err
}

func (l *storeLayer) checked(r io.ReadCloser, want v1.Hash) io.ReadCloser {
	return &checkedStore{ReadCloser: r, sum: sha256.New(), want: want, layer: l}
}

type checkedStore struct {
	io.ReadCloser
	sum   hash.Hash
	want  v1.Hash
	layer *storeLayer
}

// Read implements io.Reader.
func (c *checkedStore) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.sum.Write(p[:n])
	if err == nil {
		return n, nil
	}
	if err != io.EOF {
		if c.layer.ctx.Err() == nil {
			c.layer.spoilt() // cut short, or no archive
		}
		return n, err
	}
	if got := hex.EncodeToString(c.sum.Sum(nil)); got != c.want.Hex {
		c.layer.spoilt()
		return n, fmt.Errorf("layer %s of %s is damaged in the store: its bytes have sha256 %s instead of %s", c.layer.meta.Desc.Digest, c.layer.repo, got, c.want.Hex)
	}
	return n, io.EOF
}
