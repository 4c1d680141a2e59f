package bake

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"

	"kiln/layers"
)

// archiveLimits bound what an archive of size bytes may unpack to: what people
// ship is seldom packed tighter than 20 to 1.
func archiveLimits(size int64) layers.Limits {
	return layers.Limits{Entries: 1_000_000, Bytes: min(1<<30+100*size, 64<<30)}
}

// maxWindow bounds the memory that a compressed stream may ask for: xz -9 uses
// 64 MiB, zstd --long=27 128 MiB.
const maxWindow = 128 << 20

// errNoArchive says that a file is no archive that kiln can read.
var errNoArchive = errors.New("is no archive: want tar, tar.gz, tar.xz, tar.zst, tar.bz2 or zip")

// unpack reads an archive that is not trusted: its entries in order, with
// Target as the archive has it and the hashes of their content. With a folder given, content is put there, in
// files named by their hash: no path of the archive is ever used on the host.
func unpack(ctx context.Context, file, dir string) ([]item, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	a := &archiveReading{dir: dir, limits: archiveLimits(info.Size()), at: map[string]int{}}
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return nil, err
	}
	if bytes.HasPrefix(head[:n], []byte("PK\x03\x04")) || bytes.HasPrefix(head[:n], []byte("PK\x05\x06")) {
		return a.list, a.zip(ctx, f, info.Size())
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	stream, done, err := unpacked(head[:n], bufio.NewReaderSize(f, 1<<18))
	if err != nil {
		return nil, err
	}
	defer done()
	err = layers.Walk(ctx, stream, a.limits, a.tarEntry)
	if bad := (*layers.ArchiveError)(nil); errors.As(err, &bad) && len(a.list) == 0 && bad.Fault == layers.FaultCorrupt {
		return nil, fmt.Errorf("%w (%v)", errNoArchive, err)
	}
	return a.list, err
}

// unpacked opens a stream by its first bytes; one that is not compressed
// is left as it is.
func unpacked(head []byte, r io.Reader) (io.Reader, func(), error) {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		z, err := xz.NewReader(r, maxWindow)
		return z, func() {}, err
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return bzip2.NewReader(r), func() {}, nil
	}
	return r, func() {}, nil
}

// archiveReading is one run of unpack.
type archiveReading struct {
	dir    string
	limits layers.Limits
	list   []item
	at     map[string]int // index in list of the last entry at a path
	bytes  int64
}

func (a *archiveReading) tarEntry(e *layers.Entry, content io.Reader) error {
	it := item{Target: e.Path, Kind: e.Type, Mode: e.Mode, UID: e.UID, GID: e.GID, Link: e.Link, Size: e.Size}
	switch e.Type {
	case tar.TypeReg:
		return a.file(it, content)
	case tar.TypeLink:
		i, ok := a.at[e.Link]
		if !ok || a.list[i].Kind == tar.TypeDir {
			return &layers.ArchiveError{Path: e.Path, Fault: layers.FaultConflict, Err: fmt.Errorf("hard link to %q, which is no file before it", e.Link)}
		}
		it = a.list[i]
		it.Target = e.Path
	case tar.TypeSymlink:
		it.Mode = 0o777
	case tar.TypeDir:
	default:
		return &layers.ArchiveError{Path: e.Path, Fault: layers.FaultUnsupported, Err: errors.New("is neither file, folder nor link")}
	}
	a.add(it)
	return nil
}

func (a *archiveReading) add(it item) {
	a.at[it.Target] = len(a.list)
	a.list = append(a.list, it)
}

// file hashes content, and keeps it where there is a folder for it.
func (a *archiveReading) file(it item, content io.Reader) error {
	sum := sha256.New()
	if a.dir == "" {
		n, err := io.Copy(sum, content)
		it.Size, it.SHA256 = n, hex.EncodeToString(sum.Sum(nil))
		a.add(it)
		return err
	}
	f, err := os.CreateTemp(a.dir, ".new-")
	if err != nil {
		return err
	}
	n, err := io.Copy(io.MultiWriter(f, sum), content)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	it.Size, it.SHA256 = n, hex.EncodeToString(sum.Sum(nil))
	a.add(it)
	return os.Rename(f.Name(), filepath.Join(a.dir, it.SHA256))
}

// stripped cuts leading names off a path; false if nothing is left.
func stripped(p string, names int) (string, bool) {
	for range names {
		_, rest, ok := strings.Cut(p, "/")
		if !ok {
			return "", false
		}
		p = rest
	}
	return path.Clean(p), true
}
