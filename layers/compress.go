package layers

import (
	"bytes"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression names how a layer's tar is compressed. The empty string means
// Gzip.
type Compression string

// The compressions that Build can write.
const (
	Gzip Compression = "gzip"
	Zstd Compression = "zstd"
)

// The encoders: compression, implementation, bytes per independently
// compressed block, level. The output's bytes, and so every digest, follow
// from this name and the pinned version of github.com/klauspost/compress;
// whoever caches layers makes it part of the key. See doc.go for how the
// levels were chosen.
const (
	GzipEncoder = "gzip-klauspost1.20-1MiB-6"
	ZstdEncoder = "zstd-klauspost1.20-8MiB-default"
)

// Encoder returns the name of the encoder that writes compression c, or an
// error when c is unknown.
func (c Compression) Encoder() (string, error) {
	switch c {
	case "", Gzip:
		return GzipEncoder, nil
	case Zstd:
		return ZstdEncoder, nil
	}
	return "", fmt.Errorf("compression %q is unknown: use gzip or zstd", string(c))
}

// MediaType returns the OCI media type of a layer compressed with c.
func (c Compression) MediaType() (types.MediaType, error) {
	switch c {
	case "", Gzip:
		return types.OCILayer, nil
	case Zstd:
		return types.OCILayerZStd, nil
	}
	_, err := c.Encoder()
	return "", err
}

// NewCompressor returns a writer that compresses to w on all cores with bytes
// that do not depend on their number, nor on how the input is cut into
// writes. Close flushes and must be called; it does not close w.
func NewCompressor(w io.Writer, c Compression) (io.WriteCloser, error) {
	return newCompressor(w, c, &lender{})
}

func newCompressor(w io.Writer, c Compression, l *lender) (*blockWriter, error) {
	encoder, err := c.Encoder()
	if err != nil {
		return nil, err
	}
	l.encoder = encoder
	if c == Zstd {
		return newBlockWriter(w, zstdCodec{}, zstdBlock, l), nil
	}
	return newBlockWriter(w, &gzipCodec{level: gzipLevel}, gzipBlock, l), nil
}

// block is how many bytes of a tar are compressed by themselves.
func (c Compression) block() int {
	if c == Zstd {
		return zstdBlock
	}
	return gzipBlock
}

// maxZstdWindow bounds what a hostile zstd frame makes the decoder allocate.
// RFC 8878 asks decoders to support 8 MiB; the strongest levels of the encoders
// that write layers use up to 32 MiB.
const maxZstdWindow = 32 << 20

// Decompress returns the uncompressed stream of r, whose compression it tells
// from the first bytes: gzip, zstd, or none. Memory is bounded.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	head := make([]byte, 4)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	head = head[:n]
	whole := io.MultiReader(bytes.NewReader(head), r)
	switch {
	case n >= 2 && head[0] == 0x1f && head[1] == 0x8b:
		return gzip.NewReader(whole)
	case n == 4 && head[0] == 0x28 && head[1] == 0xb5 && head[2] == 0x2f && head[3] == 0xfd:
		d, err := zstd.NewReader(whole, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(whole), nil
}
