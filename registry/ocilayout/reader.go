package ocilayout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// StatBlob implements registry.Reader.
func (l *Layout) StatBlob(_ context.Context, _ string, d digest.Digest) (ocispec.Descriptor, error) {
	f, size, err := l.openBlob(d)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: size}, f.Close()
}

// OpenBlob implements registry.Reader. A blob that is read whole is hashed on
// the way; where it does not match, the last read returns CodeCorrupt.
func (l *Layout) OpenBlob(_ context.Context, _ string, d digest.Digest, offset, length int64) (io.ReadCloser, error) {
	f, size, err := l.openBlob(d)
	if err != nil {
		return nil, err
	}
	if offset < 0 || offset > size {
		return nil, errors.Join(registry.Errorf(registry.CodeRangeInvalid, "offset %d is outside blob %s of %d bytes", offset, d, size), f.Close())
	}
	if length < 0 || length > size-offset {
		length = size - offset
	}
	part := io.NewSectionReader(f, offset, length)
	if offset == 0 && length == size {
		return &wholeBlob{r: part, c: f, digest: d, hash: d.Algorithm().Hash()}, nil
	}
	return struct {
		io.Reader
		io.Closer
	}{part, f}, nil
}

type blobFile interface {
	io.ReaderAt
	io.Closer
}

func (l *Layout) openBlob(d digest.Digest) (blobFile, int64, error) {
	if err := registry.CheckDigest(d); err != nil {
		return nil, 0, err
	}
	f, size, err := l.open(blobPath(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, registry.Errorf(registry.CodeBlobUnknown, "%s has no blob %s", l.dir, d)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open blob %s: %w", d, err)
	}
	return f, size, nil
}

// wholeBlob holds a blob against its digest.
type wholeBlob struct {
	r      io.Reader
	c      io.Closer
	digest digest.Digest
	hash   hash.Hash
}

func (b *wholeBlob) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.hash.Write(p[:n]) // never fails
	if err == io.EOF && digest.NewDigest(b.digest.Algorithm(), b.hash) != b.digest {
		return n, registry.Errorf(registry.CodeCorrupt, "blob %s does not match its digest", b.digest)
	}
	return n, err
}

func (b *wholeBlob) Close() error { return b.c.Close() }

// Manifest implements registry.Reader.
func (l *Layout) Manifest(_ context.Context, _ string, d digest.Digest) (ocispec.Descriptor, []byte, error) {
	content, err := l.manifest(d)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	return ocispec.Descriptor{MediaType: mediaType("", content), Digest: d, Size: int64(len(content))}, content, nil
}

func (l *Layout) manifest(d digest.Digest) ([]byte, error) {
	if err := registry.CheckDigest(d); err != nil {
		return nil, err
	}
	content, err := l.read(blobPath(d), registry.MaxManifestSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, registry.Errorf(registry.CodeManifestUnknown, "%s has no manifest %s", l.dir, d)
	}
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", d, err)
	}
	if digestOf(d, content) != d {
		return nil, registry.Errorf(registry.CodeCorrupt, "manifest %s does not match its digest", d)
	}
	return content, nil
}

// mediaType believes the manifest, which has a digest, before what names it; of
// one that says nothing it tells what it can only be.
func mediaType(said string, content []byte) string {
	var m struct {
		MediaType string          `json:"mediaType"`
		Manifests json.RawMessage `json:"manifests"`
		Layers    json.RawMessage `json:"layers"`
	}
	if json.Unmarshal(content, &m) != nil {
		return said
	}
	switch {
	case m.MediaType != "":
		return m.MediaType
	case said != "":
		return said
	case m.Manifests != nil:
		return ocispec.MediaTypeImageIndex
	case m.Layers != nil:
		return ocispec.MediaTypeImageManifest
	}
	return ""
}

// Tag implements registry.Reader.
func (l *Layout) Tag(_ context.Context, repo, tag string) (ocispec.Descriptor, error) {
	if err := registry.CheckTag(tag); err != nil {
		return ocispec.Descriptor{}, err
	}
	index, err := l.index()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	for _, desc := range index.Manifests {
		if r, t, ok := named(desc); ok && r == repo && t == tag {
			return plain(desc), registry.CheckDigest(desc.Digest)
		}
	}
	return ocispec.Descriptor{}, registry.Errorf(registry.CodeManifestUnknown, "%s has no %s", l.dir, refName(repo, tag))
}
