package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// An unpacked entry is one file of the cache, DIR/unpacked/<sha256 of the
// .deb>: a header of unpackedHeader bytes (JSON, padded with blanks), then
// data.tar and control.tar, both uncompressed. The header has the sha256 of
// all that follows it, so that a damaged or foreign entry is noticed and made
// anew.
const (
	unpackedHeader = 256
	unpackedFormat = 1
	// maxControl and maxData bound what one .deb may decompress to, in bytes.
	maxControl = 256 << 20
	maxData    = 32 << 30
)

type unpackedMeta struct {
	Format  int    `json:"format"`
	Data    int64  `json:"data"`
	Control int64  `json:"control"`
	SHA256  string `json:"sha256"`
}

// unpackedDeb is an open entry of the cache of unpacked packages.
type unpackedDeb struct {
	file          *os.File
	data, control *io.SectionReader
}

// unpackedPath says where the entry of a .deb lies or would lie.
func (c Cache) unpackedPath(sha256 string) string {
	return filepath.Join(c.Dir, "unpacked", sha256)
}

// openUnpacked opens the decompressed form of a .deb, from the cache when it
// is there and whole, else from the .deb, which is hashed first and must have
// Package.SHA256 (when that is set).
func openUnpacked(ctx context.Context, cache Cache, deb Deb) (*unpackedDeb, error) {
	if deb.SHA256 != "" {
		if u, err := openEntry(ctx, cache.unpackedPath(deb.SHA256)); err == nil {
			return u, nil
		} else if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	u, err := makeEntry(ctx, cache, deb)
	if err != nil {
		return nil, fmt.Errorf("package %s %s: %w", deb.Name, deb.Version, err)
	}
	return u, nil
}

func openEntry(ctx context.Context, path string) (*unpackedDeb, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	u, err := checkEntry(ctx, f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return u, nil
}

func checkEntry(ctx context.Context, f *os.File) (*unpackedDeb, error) {
	var header [unpackedHeader]byte
	if _, err := io.ReadFull(f, header[:]); err != nil {
		return nil, err
	}
	var meta unpackedMeta
	if err := json.Unmarshal(header[:], &meta); err != nil {
		return nil, err
	}
	if meta.Format != unpackedFormat || meta.Data < 0 || meta.Control < 0 {
		return nil, errors.New("entry of another format")
	}
	sum := sha256.New()
	n, err := io.CopyBuffer(onlyWriter{sum}, onlyReader{ctxReader{ctx, f}}, make([]byte, 1<<18))
	if err != nil {
		return nil, err
	}
	if n != meta.Data+meta.Control || hex.EncodeToString(sum.Sum(nil)) != meta.SHA256 {
		return nil, errors.New("entry is damaged")
	}
	return newUnpacked(f, meta), nil
}

func newUnpacked(f *os.File, meta unpackedMeta) *unpackedDeb {
	return &unpackedDeb{
		file:    f,
		data:    io.NewSectionReader(f, unpackedHeader, meta.Data),
		control: io.NewSectionReader(f, unpackedHeader+meta.Data, meta.Control),
	}
}

// makeEntry decompresses a .deb into a new entry. Without a hash to name it
// by, the entry is removed as soon as it is open.
func makeEntry(ctx context.Context, cache Cache, deb Deb) (u *unpackedDeb, err error) {
	in, err := os.Open(deb.File)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if err := checkHash(ctx, in, deb.SHA256); err != nil {
		return nil, err
	}
	dir := filepath.Join(cache.Dir, "unpacked")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	out, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			out.Close()
			os.Remove(out.Name())
		}
	}()
	meta, err := writeEntry(ctx, in, out)
	if err != nil {
		return nil, err
	}
	if deb.SHA256 == "" {
		err = os.Remove(out.Name())
	} else {
		err = os.Rename(out.Name(), cache.unpackedPath(deb.SHA256))
	}
	if err != nil {
		return nil, err
	}
	return newUnpacked(out, meta), nil
}

func checkHash(ctx context.Context, f *os.File, want string) error {
	if want == "" {
		return nil
	}
	sum := sha256.New()
	if _, err := io.CopyBuffer(onlyWriter{sum}, onlyReader{ctxReader{ctx, f}}, make([]byte, 1<<18)); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("the .deb is not the one of the index: its sha256 is %s, want %s", got, want)
	}
	return nil
}

func writeEntry(ctx context.Context, in, out *os.File) (unpackedMeta, error) {
	meta := unpackedMeta{Format: unpackedFormat}
	control, data, err := readDeb(in)
	if err != nil {
		return meta, err
	}
	if _, err := out.Seek(unpackedHeader, io.SeekStart); err != nil {
		return meta, err
	}
	sum := sha256.New()
	if meta.Data, err = inflate(ctx, out, sum, data, maxData); err != nil {
		return meta, err
	}
	if meta.Control, err = inflate(ctx, out, sum, control, maxControl); err != nil {
		return meta, err
	}
	meta.SHA256 = hex.EncodeToString(sum.Sum(nil))
	text, err := json.Marshal(meta)
	if err != nil {
		return meta, err
	}
	_, err = out.WriteAt([]byte(string(text)+strings.Repeat(" ", unpackedHeader-len(text))), 0)
	return meta, err
}

// inflate decompresses one member into out and sum, limit bytes at most.
func inflate(ctx context.Context, out io.Writer, sum hash.Hash, m member, limit int64) (int64, error) {
	r, err := decompress(m)
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", m.name, err)
	}
	defer r.Close()
	to := onlyWriter{io.MultiWriter(out, sum)}
	n, err := io.CopyBuffer(to, io.LimitReader(ctxReader{ctx, r}, limit+1), make([]byte, 1<<18))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return n, fmt.Errorf("truncated .deb: %s ends early", m.name)
	case err != nil:
		return n, fmt.Errorf("decompress %s: %w", m.name, err)
	case n > limit:
		return n, fmt.Errorf("%s decompresses to more than %d bytes", m.name, limit)
	}
	return n, nil
}

// onlyWriter and onlyReader hide ReadFrom and WriteTo, so that a copy uses
// the buffer it is given.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

// ctxReader ends with the context's error once that is done.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
