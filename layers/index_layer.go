package layers

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// IndexLayer reads a layer once, in flat memory but for the index itself, and
// returns its path index. Limits are those of Extract by default; what is
// wrong with the archive is an *ArchiveError.
func IndexLayer(ctx context.Context, l v1.Layer) (*Index, error) {
	r, err := l.Uncompressed()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return IndexTar(ctx, r)
}

// IndexTar is IndexLayer for an uncompressed tar stream. It reads r to its end.
func IndexTar(ctx context.Context, r io.Reader) (*Index, error) {
	ix := NewIndex()
	archive := newArchiveReader(ctx, r, Limits{})
	for {
		e, err := archive.next()
		if err == io.EOF {
			return ix, nil
		}
		if err != nil {
			return nil, err
		}
		if e.Path == "." {
			continue
		}
		digest, err := archive.digest(e)
		if err != nil {
			return nil, err
		}
		if err := ix.add(e.Path, e.node(digest)); err != nil {
			return nil, err
		}
	}
}

// digest reads the content of the entry that next returned; "" for what is no
// regular file.
func (a *archiveReader) digest(e *Entry) (string, error) {
	if e.Type != tar.TypeReg {
		return "", nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, a); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// IndexImage returns the index of what a container of img sees, reading every
// layer once.
func IndexImage(ctx context.Context, img v1.Image) (*Index, error) {
	ls, err := img.Layers()
	if err != nil {
		return nil, err
	}
	ix := NewIndex()
	for i, l := range ls {
		above, err := IndexLayer(ctx, l)
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
		ix = ix.Merge(above)
	}
	return ix, nil
}
