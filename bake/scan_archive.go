package bake

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
)

// Bounds of archives inside layers.
const (
	maxDepth    = 2         // archives in archives
	maxArchive  = 32 << 20  // bytes of one, as it lies in the layer
	maxExpanded = 256 << 20 // bytes of what one holds
)

// content is what the first bytes of a file say that it is.
type contentKind int

const (
	other contentKind = iota
	plainText
	wideText
	zipFile
	gzipFile
	tarFile
)

// sniff looks at the beginning of a file.
func sniff(head []byte) contentKind {
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return zipFile
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b, 8}):
		return gzipFile
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return tarFile
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return wideText
	case bytes.IndexByte(head, 0) >= 0:
		return other
	}
	return plainText
}

// packed tells compressed files that are not opened.
func packed(head []byte) bool {
	for _, magic := range []string{"\xfd7zXZ\x00", "BZh", "\x28\xb5\x2f\xfd", "7z\xbc\xaf\x27\x1c"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return false
}

// errExpanded says that an archive holds more than is looked into.
var errExpanded = errors.New("more than is looked into")

// archive looks into the members of an archive. What cannot be read to its
// end is noted.
func (s *tarScan) archive(ctx context.Context, kind contentKind, name string, size int64, r io.Reader, in *outerFile, depth int) error {
	if size > maxArchive {
		s.skip(isLarge, name, size)
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxArchive))
	if err != nil {
		return err
	}
	if in == nil {
		in = &outerFile{name, raw}
	}
	err = s.members(ctx, kind, name, raw, in, depth)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errExpanded):
		s.skip(isLarge, name, size)
	case err != nil:
		s.skip(isDamaged, name, size)
	}
	return nil
}

func (s *tarScan) members(ctx context.Context, kind contentKind, name string, raw []byte, in *outerFile, depth int) error {
	left := &expanding{left: s.expanded}
	switch kind {
	case tarFile:
		return s.read(ctx, tar.NewReader(bytes.NewReader(raw)), name+"!", in, depth+1)
	case gzipFile:
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return err
		}
		left.r = z
		return s.unpacked(ctx, name, left, in, depth)
	}
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return err
	}
	for _, f := range z.File {
		if f.FileInfo().IsDir() {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return err
		}
		left.r = r
		err = s.file(ctx, name+"!"+f.Name, int64(f.UncompressedSize64), left, in, depth+1)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// unpacked looks into what a gzip file holds: a tar archive, or a file.
func (s *tarScan) unpacked(ctx context.Context, name string, r io.Reader, in *outerFile, depth int) error {
	head := make([]byte, 512)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	whole := io.MultiReader(bytes.NewReader(head[:n]), r)
	if sniff(head[:n]) == tarFile {
		return s.read(ctx, tar.NewReader(whole), name+"!", in, depth+1)
	}
	return s.file(ctx, name, int64(n), whole, in, maxDepth)
}

// expanding fails where an archive expands to more than is looked into.
type expanding struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (e *expanding) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if e.left -= int64(n); e.left < 0 {
		return n, errExpanded
	}
	return n, err
}
