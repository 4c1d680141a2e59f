package bake

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// smallFile reads a file of an image out of the topmost layer that has it, and
// no more of that than comes before: unpacking all for a few lines takes long.
func (b *Builder) smallFile(ctx context.Context, img v1.Image, it item) ([]byte, error) {
	all, err := img.Layers()
	if err != nil {
		return nil, err
	}
	merged, err := b.imageIndex(ctx, img)
	if err != nil {
		return nil, err
	}
	at, _, err := merged.Resolve(strings.TrimPrefix(it.Target, "/"))
	if err != nil {
		return nil, err
	}
	for _, l := range slices.Backward(all) {
		ix, err := b.index(ctx, l)
		if err != nil {
			return nil, err
		}
		n, ok := ix.Node(at)
		if !ok || strings.TrimPrefix(n.Digest, "sha256:") != it.SHA256 {
			continue
		}
		text, err := fileInTar(l, at)
		if err != nil {
			return nil, fmt.Errorf("%s in the image: %w", it.Target, err)
		}
		if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) == it.SHA256 {
			return text, nil
		}
		break // a hard link, or the like
	}
	return b.file(ctx, &Image{Image: img}, at)
}

// fileInTar reads a file of a layer's tar, of maxAccounts bytes at most; nil if it
// is no regular file there.
func fileInTar(l v1.Layer, name string) ([]byte, error) {
	content, err := l.Uncompressed()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	r := tar.NewReader(content)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if strings.TrimPrefix(path.Clean("/"+h.Name), "/") != name {
			continue
		}
		if h.Typeflag != tar.TypeReg || h.Size > maxAccounts {
			return nil, nil
		}
		return io.ReadAll(r)
	}
}
