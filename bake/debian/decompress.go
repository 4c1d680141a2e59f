package debian

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// maxXZDictionary bounds the memory that one .xz may ask for: xz -9 uses 64 MiB.
const maxXZDictionary = 128 << 20

// decompress opens a member by the compression that its name declares: none,
// gz, xz or zst.
func decompress(m member) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(io.NewSectionReader(m.data, 0, m.data.Size()), 1<<18)
	_, suffix, _ := strings.Cut(m.name, ".tar")
	switch suffix {
	case "":
		return io.NopCloser(in), nil
	case ".gz":
		return gzip.NewReader(in)
	case ".xz":
		r, err := xz.NewReader(in, maxXZDictionary)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(r), nil
	case ".zst":
		r, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxXZDictionary))
		if err != nil {
			return nil, err
		}
		return r.IOReadCloser(), nil
	}
	return nil, fmt.Errorf("compression of %s is not known, want xz, zst, gz or none", m.name)
}
