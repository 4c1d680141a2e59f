package layers

import (
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Meta is what is known of a finished layer without its file. It survives a
// round trip through JSON, so that a cache can restore a Layer by Open.
type Meta struct {
	Desc        v1.Descriptor `json:"descriptor"`   // media type, compressed size and digest
	Diff        v1.Hash       `json:"diff_id"`      // digest of the uncompressed tar
	Compression Compression   `json:"compression"`  // never empty
	Encoder     string        `json:"encoder"`      // the name of the encoder that wrote it
	RawSize     int64         `json:"uncompressed"` // bytes of the uncompressed tar
	Entries     int           `json:"entries"`      // how many paths it has
}

// Layer is a finished layer in a file. It implements v1.Layer; its content is
// checked against its digest whenever it is read to the end.
type Layer struct {
	Path string `json:"-"`
	Meta
}

var _ v1.Layer = (*Layer)(nil)

// Open returns the layer that meta describes in the file at path. It compares
// the size only; reading or Verify compares the digest.
func Open(path string, meta Meta) (*Layer, error) {
	if _, err := meta.Compression.Encoder(); err != nil {
		return nil, fmt.Errorf("open layer %s: %w", path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open layer: %w", err)
	}
	if info.Size() != meta.Desc.Size {
		return nil, fmt.Errorf("open layer %s: it has %d bytes instead of %d", path, info.Size(), meta.Desc.Size)
	}
	return &Layer{Path: path, Meta: meta}, nil
}

// Digest returns the digest of the compressed file.
func (l *Layer) Digest() (v1.Hash, error) { return l.Desc.Digest, nil }

// DiffID returns the digest of the uncompressed tar.
func (l *Layer) DiffID() (v1.Hash, error) { return l.Diff, nil }

// Size returns the size of the compressed file in bytes.
func (l *Layer) Size() (int64, error) { return l.Desc.Size, nil }

// MediaType returns the OCI media type.
func (l *Layer) MediaType() (types.MediaType, error) { return l.Desc.MediaType, nil }

// Compressed returns the file's content. Its last read fails when that is not
// what the digest says.
func (l *Layer) Compressed() (io.ReadCloser, error) {
	f, err := os.Open(l.Path)
	if err != nil {
		return nil, err
	}
	return &checkedReader{file: f, sum: newSum(), want: l.Desc.Digest, size: l.Desc.Size, path: l.Path}, nil
}

// Uncompressed returns the tar. Its last read fails when the file is not what
// the digest says.
func (l *Layer) Uncompressed() (io.ReadCloser, error) {
	f, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	z, err := Decompress(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("layer %s: %w", l.Path, err)
	}
	return &stackedReader{Reader: drainAfter(z, f), closers: []io.Closer{z, f}}, nil
}

// Verify reads the file and compares it with its digest.
func (l *Layer) Verify() error {
	r, err := l.Compressed()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

// checkedReader fails at the end of a file that is not what it should be.
type checkedReader struct {
	file io.ReadCloser
	sum  *sum
	want v1.Hash
	size int64
	path string
}

func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.file.Read(p)
	c.sum.Write(p[:n])
	if err == io.EOF && (c.sum.n != c.size || c.sum.hash() != c.want) {
		return n, fmt.Errorf("layer %s: its %d bytes have digest %s instead of %s",
			c.path, c.sum.n, c.sum.hash(), c.want)
	}
	return n, err
}

func (c *checkedReader) Close() error { return c.file.Close() }

// stackedReader closes several things, the outermost first.
type stackedReader struct {
	io.Reader
	closers []io.Closer
}

func (s *stackedReader) Close() error {
	var first error
	for _, c := range s.closers {
		if err := c.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// drainAfter reads r, then the rest of below, so that what checks itself at
// its end does so also when the decompressor stops short of it.
func drainAfter(r, below io.Reader) io.Reader {
	return io.MultiReader(r, &drainer{below})
}

type drainer struct{ r io.Reader }

func (d *drainer) Read([]byte) (int, error) {
	if _, err := io.Copy(io.Discard, d.r); err != nil {
		return 0, err
	}
	return 0, io.EOF
}
