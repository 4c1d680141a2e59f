package layers

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Build writes the entries as a layer file at path, in one pass and in flat
// memory, and returns the layer and its path index. The entries are sorted and
// checked; folders above them are not invented. The file appears whole and
// durable or not at all; one that is there is replaced.
//
// It returns an *EntryError for what is wrong with an entry (wrapping
// ErrChanged when a source changed while it was read) and ctx's error when
// ctx ends.
func Build(ctx context.Context, path string, comp Compression, entries []Entry) (*Layer, *Index, error) {
	return BuildWith(ctx, path, comp, entries, BuildOptions{})
}

// BuildOptions is what BuildWith does beside what Build does.
type BuildOptions struct {
	// Blocks of another layer, from which those that are equal are taken; may be
	// nil. Entries that only reach into an equal beginning, by their digests, are
	// not read. ErrBeginning then says that what is lent is damaged.
	Blocks Blocks
	// Fleeting files need not outlive a power cut: they are not fsynced.
	Fleeting bool
	// Raw gets the uncompressed layer while it is written; may be nil. Its errors
	// fail the build.
	Raw io.Writer
}

// BuildWith is Build with options, on which its outcome does not depend.
func BuildWith(ctx context.Context, path string, comp Compression, entries []Entry, opts BuildOptions) (*Layer, *Index, error) {
	encoder, err := comp.Encoder()
	if err != nil {
		return nil, nil, err
	}
	mediaType, err := comp.MediaType()
	if err != nil {
		return nil, nil, err
	}
	sorted, err := arrange(entries)
	if err != nil {
		return nil, nil, err
	}
	if comp == "" {
		comp = Gzip
	}
	layer := &Layer{Path: path, Meta: Meta{
		Desc:        v1.Descriptor{MediaType: mediaType},
		Compression: comp,
		Encoder:     encoder,
		Entries:     len(sorted),
	}}
	var index *Index
	err = writeWhole(path, !opts.Fleeting, func(f io.Writer) error {
		index, err = writeLayer(ctx, f, sorted, &layer.Meta, opts)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return layer, index, nil
}

// writeLayer streams the sorted entries to f, compressed by meta.Compression,
// and completes meta.
func writeLayer(ctx context.Context, f io.Writer, sorted []Entry, meta *Meta, opts BuildOptions) (*Index, error) {
	diff := &statesSum{sum: newSum(), block: int64(meta.Compression.block())}
	lend, err := lendFor(sorted, meta, opts, diff)
	if err != nil {
		return nil, err
	}
	if lend.from != nil {
		lend.from.file = contextReader{ctx, lend.from.file}
	}
	compressor, err := newCompressor(io.MultiWriter(f, lend.digest), meta.Compression, lend)
	if err != nil {
		return nil, err
	}
	raw := []io.Writer{compressor, diff}
	if opts.Raw != nil {
		raw = append(raw, opts.Raw)
	}
	index, err := writeTar(ctx, lend.from.after(compressor, io.MultiWriter(raw...)), sorted, lend.from.first())
	// The compressor's own error is the cause of the tar writer's.
	if closeErr := compressor.Close(); err == nil || errors.Is(err, errCompressorBroken) {
		err = closeErr
	}
	if err != nil {
		return nil, err
	}
	lend.began(diff)
	meta.Desc.Digest, meta.Desc.Size = lend.digest.hash(), lend.digest.n
	meta.Diff, meta.RawSize = diff.hash(), diff.n
	return index, nil
}

// writeTar writes the entries from the one at first on and indexes all of them.
func writeTar(ctx context.Context, w io.Writer, sorted []Entry, first int) (*Index, error) {
	out := bufio.NewWriterSize(w, 256<<10)
	tw := tar.NewWriter(out)
	ix := NewIndex()
	buf := make([]byte, 128<<10)
	for i := range sorted {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e := &sorted[i]
		sum := e.sum()
		if i >= first {
			var err error
			if sum, err = writeEntry(ctx, tw, e, buf); err != nil {
				return nil, err
			}
		}
		if err := ix.add(e.Path, e.node(sum)); err != nil {
			return nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	return ix, out.Flush()
}

// writeEntry writes one entry and returns the digest of its content.
func writeEntry(ctx context.Context, tw *tar.Writer, e *Entry, buf []byte) (string, error) {
	if err := tw.WriteHeader(e.header()); err != nil {
		return "", &EntryError{Path: e.Path, Err: err}
	}
	if e.Type != tar.TypeReg {
		return "", nil
	}
	sum := sha256.New()
	if e.Open != nil {
		if err := copyContent(ctx, io.MultiWriter(tw, sum), e, buf); err != nil {
			return "", err
		}
	}
	got := "sha256:" + hex.EncodeToString(sum.Sum(nil))
	if e.Digest != "" && e.Digest != got {
		return "", entryErrorf(e.Path, "%w: it is %s instead of %s", ErrChanged, got, e.Digest)
	}
	return got, nil
}

// copyContent copies exactly e.Size bytes and makes sure that there are no
// more.
func copyContent(ctx context.Context, w io.Writer, e *Entry, buf []byte) error {
	r, err := e.Open()
	if err != nil {
		return &EntryError{Path: e.Path, Err: err}
	}
	defer r.Close()
	n, err := io.CopyBuffer(onlyWriter{w}, contextReader{ctx, io.LimitReader(r, e.Size)}, buf)
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errCompressorBroken):
		return err
	case err != nil:
		return &EntryError{Path: e.Path, Err: err}
	case n < e.Size:
		return entryErrorf(e.Path, "%w: %d of %d bytes are left", ErrChanged, n, e.Size)
	}
	switch n, err := r.Read(buf[:1]); {
	case n > 0:
		return entryErrorf(e.Path, "%w: it has grown beyond %d bytes", ErrChanged, e.Size)
	case err != nil && err != io.EOF:
		return &EntryError{Path: e.Path, Err: err}
	}
	return nil
}

// onlyWriter hides ReadFrom, so that copying uses the given buffer.
type onlyWriter struct{ io.Writer }

// contextReader fails once its context has ended.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// sum is a SHA-256 that counts.
type sum struct {
	hash.Hash
	n int64
}

func newSum() *sum { return &sum{Hash: sha256.New()} }

func (s *sum) Write(p []byte) (int, error) {
	s.n += int64(len(p))
	return s.Hash.Write(p)
}

func (s *sum) hash() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(s.Sum(nil))}
}

// writeFile makes the file at path from what write writes: whole and durable,
// or not at all.
func writeFile(path string, write func(io.Writer) error) error { return writeWhole(path, true, write) }

func writeWhole(path string, durable bool, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if durable {
		if err := f.Sync(); err != nil {
			return fmt.Errorf("sync %s: %w", path, err)
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
