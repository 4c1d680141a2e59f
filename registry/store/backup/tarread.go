package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// Read makes an empty place the store that Write backed up. Every byte is
// checked before the place becomes a store, which is the last step: a backup
// that is cut short or changed is ErrDamaged. Interrupted, it can be run again.
func Read(ctx context.Context, r io.Reader, to Place) (Report, error) {
	report, err := read(ctx, r, to)
	if err != nil {
		return report, fmt.Errorf("restore: %w", err)
	}
	return report, nil
}

func read(ctx context.Context, r io.Reader, to Place) (Report, error) {
	in := &tarSource{tar: tar.NewReader(until(ctx, r)), sum: sha256.New()}
	var h head
	if err := in.head(&h); err != nil {
		return Report{}, err
	}
	marker, _, err := claim(ctx, to, head{Schema: Schema, StoreID: h.StoreID, Restoring: true, Begun: now()})
	if err != nil {
		return Report{}, err
	}
	if in.to, err = newPlaceSink(ctx, to); err != nil {
		return Report{}, err
	}
	in.report.StoreID = h.StoreID
	for in.end == nil && err == nil {
		err = in.entry(ctx)
	}
	if err = errors.Join(err, in.to.flush(ctx)); err != nil {
		return in.report, err
	}
	if err := in.check(); err != nil {
		return in.report, err
	}
	for _, key := range in.end.Void {
		if err := to.Objects.Delete(ctx, key); err != nil {
			return in.report, err
		}
	}
	if err := setPointers(ctx, to.Pointers, in.names); err != nil {
		return in.report, err
	}
	return in.report, finish(ctx, to, marker, h.StoreID)
}

// tarSource reads a tar.
type tarSource struct {
	tar    *tar.Reader
	to     *placeSink
	sum    hash.Hash
	seen   tail // counted while reading
	end    *tail
	names  []store.Pointer
	report Report
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}

// next reads a header; a tar that ends where none may is damaged.
func (in *tarSource) next() (*tar.Header, error) {
	h, err := in.tar.Next()
	if err != nil {
		return nil, tarError(err)
	}
	if h.Typeflag != tar.TypeReg || h.Size < 0 {
		return nil, damaged("entry %q is no file", h.Name)
	}
	return h, nil
}

// tarError tells damage from a reader that failed.
func tarError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrHeader) {
		return damaged("it is cut short, or no backup: %w", err)
	}
	return err
}

func (in *tarSource) head(v *head) error {
	h, err := in.next()
	if err != nil {
		return err
	}
	if h.Name != headName || in.json(v) != nil || v.Schema != Schema || v.StoreID == "" {
		return damaged("it does not begin as a backup of schema %s", Schema)
	}
	return nil
}

func (in *tarSource) json(v any) error {
	data, err := in.whole()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return damaged("%w", err)
	}
	return nil
}

// whole reads an entry that is no blob.
func (in *tarSource) whole() ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(in.tar, maxTail+1))
	if err != nil {
		return nil, tarError(err)
	}
	if len(data) > maxTail {
		return nil, damaged("an entry has more than %d bytes and is no blob", maxTail)
	}
	return data, nil
}

// maxTail bounds an entry that is no blob, in bytes; the tail is the largest.
const maxTail = 64 << 20

func (in *tarSource) entry(ctx context.Context) error {
	h, err := in.next()
	if err != nil {
		return err
	}
	key, isObject := strings.CutPrefix(h.Name, objectsFolder)
	name, isPointer := strings.CutPrefix(h.Name, pointerFolder)
	switch {
	case h.Name == tailName:
		in.end = new(tail)
		return in.json(in.end)
	case isObject && store.CheckKey(key) == nil && classify(key) == classBlob && blobDigest(key) != "":
		return in.blob(ctx, h, blobDigest(key))
	case isObject && store.CheckKey(key) == nil && (classify(key) == classEntry || classify(key) == classBlobLink):
		return in.object(ctx, h, key)
	case isPointer && store.CheckKey(name) == nil && !pointerOut(name):
		return in.pointer(h, name)
	}
	return damaged("entry %q has no place in a backup", h.Name)
}

// blob takes a blob. Whether damage was there when the backup was made, the
// tail says.
func (in *tarSource) blob(ctx context.Context, h *tar.Header, d digest.Digest) error {
	in.seen.Objects++
	io.WriteString(in.sum, entryLine(h.Name, h.Size, string(d)))
	err := in.to.blob(ctx, d, h.Size, in.tar)
	if errors.Is(err, ErrDamaged) {
		in.seen.Damaged = append(in.seen.Damaged, d)
		return nil
	}
	if err != nil {
		return tarError(err)
	}
	in.report.Objects++
	in.report.Bytes += h.Size
	return nil
}

// small reads an entry with a sum of its own.
func (in *tarSource) small(h *tar.Header) ([]byte, error) {
	data, err := in.whole()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	text := hex.EncodeToString(sum[:])
	if h.PAXRecords[sumRecord] != text {
		return nil, damaged("entry %q does not match its hash", h.Name)
	}
	io.WriteString(in.sum, entryLine(h.Name, h.Size, text))
	return data, nil
}

func (in *tarSource) object(ctx context.Context, h *tar.Header, key string) error {
	data, err := in.small(h)
	if err != nil {
		return err
	}
	in.seen.Objects++
	in.report.Objects++
	in.report.Bytes += h.Size
	return in.to.entry(ctx, key, data)
}

func (in *tarSource) pointer(h *tar.Header, name string) error {
	data, err := in.small(h)
	if err != nil {
		return err
	}
	in.seen.Pointers++
	in.report.Pointers++
	in.names = append(in.names, store.Pointer{Name: name, Value: bytes.Clone(data)})
	return nil
}

// check compares what was read with what the tail says.
func (in *tarSource) check() error {
	if _, err := in.tar.Next(); !errors.Is(err, io.EOF) {
		return damaged("something follows its end")
	}
	switch {
	case in.end.Objects != in.seen.Objects, in.end.Pointers != in.seen.Pointers, in.end.Sum != hex.EncodeToString(in.sum.Sum(nil)):
		return damaged("its end does not tell what it holds")
	}
	for _, d := range in.seen.Damaged {
		if !slices.Contains(in.end.Damaged, d) {
			return damaged("blob %s is not what its digest says", d)
		}
	}
	for _, key := range in.end.Void {
		if c := classify(key); store.CheckKey(key) != nil || c != classEntry && c != classBlobLink {
			return damaged("its end names %q", key)
		}
	}
	in.report.Damaged = in.seen.Damaged
	return nil
}
