package ocilayout

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// PushBlob stores a blob, as registry.Writer says. A blob that is there, with
// the size announced, is not read.
func (l *Layout) PushBlob(ctx context.Context, _ string, desc ocispec.Descriptor, r io.Reader) error {
	have, err := l.StatBlob(ctx, "", desc.Digest)
	switch {
	case err == nil && (desc.Size < 0 || have.Size == desc.Size):
		return nil
	case err != nil && !isAbsent(err):
		return err
	}
	sum := desc.Digest.Algorithm().Hash()
	return l.place(blobPath(desc.Digest), func(w io.Writer) error {
		n, err := io.Copy(io.MultiWriter(w, sum), until(ctx, r))
		switch {
		case err != nil:
			return fmt.Errorf("write blob %s: %w", desc.Digest, err)
		case desc.Size >= 0 && n != desc.Size:
			return registry.Errorf(registry.CodeSizeInvalid, "blob %s has %d bytes, not the %d announced", desc.Digest, n, desc.Size)
		case digest.NewDigest(desc.Digest.Algorithm(), sum) != desc.Digest:
			return registry.Errorf(registry.CodeDigestInvalid, "the bytes are not those of blob %s", desc.Digest)
		}
		return nil
	})
}

// MountBlob has nothing to do: all images of a layout share its content.
func (l *Layout) MountBlob(ctx context.Context, _, repo string, d digest.Digest) (ocispec.Descriptor, error) {
	return l.StatBlob(ctx, repo, d)
}

// PushManifest stores a manifest whose content is there and lists it in
// index.json, as registry.Writer says.
func (l *Layout) PushManifest(ctx context.Context, repo string, m registry.Manifest) (ocispec.Descriptor, error) {
	if m.Digest != "" {
		if err := registry.CheckDigest(m.Digest); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	d := digestOf(m.Digest, m.Content)
	if m.Digest != "" && d != m.Digest {
		return ocispec.Descriptor{}, registry.Errorf(registry.CodeDigestInvalid, "manifest has digest %s, not %s", d, m.Digest)
	}
	for _, tag := range m.Tags {
		if err := registry.CheckTag(tag); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	p, err := registry.ParseManifest(m.MediaType, m.Content)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := l.checkReferences(ctx, p); err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: p.MediaType, Digest: d, Size: int64(len(m.Content))}
	if err := l.PushBlob(ctx, repo, desc, bytes.NewReader(m.Content)); err != nil {
		return ocispec.Descriptor{}, err
	}
	return desc, l.change(func(index *ocispec.Index) { l.list(index, desc, p, repo, m.Tags) })
}

// checkReferences refuses a manifest that names what is not there.
func (l *Layout) checkReferences(ctx context.Context, p registry.Parts) error {
	for _, list := range [][]ocispec.Descriptor{p.Blobs, p.Manifests} {
		for _, d := range list {
			if registry.IsForeign(d) {
				continue
			}
			have, err := l.StatBlob(ctx, "", d.Digest)
			switch {
			case isAbsent(err):
				return registry.Errorf(registry.CodeManifestBlobUnknown, "manifest names %s, which %s does not have", d.Digest, l.dir)
			case err != nil:
				return err
			case have.Size != d.Size:
				return registry.Errorf(registry.CodeManifestInvalid, "manifest says that %s has %d bytes, it has %d", d.Digest, d.Size, have.Size)
			}
		}
	}
	return nil
}

// index reads index.json.
func (l *Layout) index() (ocispec.Index, error) {
	content, err := l.read(ocispec.ImageIndexFile, maxIndex)
	if err != nil {
		return ocispec.Index{}, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(content, &index); err != nil {
		return ocispec.Index{}, fmt.Errorf("%s in %s: %w", ocispec.ImageIndexFile, l.dir, err)
	}
	return index, nil
}

// change replaces index.json, of a new layout by one that lists nothing.
func (l *Layout) change(f func(*ocispec.Index)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	index, err := l.index()
	if errors.Is(err, os.ErrNotExist) {
		index, err = ocispec.Index{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
			Manifests: []ocispec.Descriptor{},
		}, nil
	}
	if err != nil {
		return err
	}
	f(&index)
	content, err := json.Marshal(index)
	if err != nil {
		return err
	}
	return l.write(ocispec.ImageIndexFile, content)
}

func (l *Layout) write(name string, content []byte) error {
	return l.place(name, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// place writes a file that is seen only whole, and synced.
func (l *Layout) place(name string, fill func(io.Writer) error) error {
	dir := path.Dir(name)
	if err := l.root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp := path.Join(dir, ".tmp-"+rand.Text())
	f, err := l.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = l.root.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, l.root.RemoveAll(temp))
	}
	return l.syncDir(dir)
}

func (l *Layout) syncDir(dir string) error {
	d, err := l.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// untilReader ends with its call's context.
type untilReader struct {
	ctx context.Context
	r   io.Reader
}

func until(ctx context.Context, r io.Reader) io.Reader { return &untilReader{ctx, r} }

func (u *untilReader) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
