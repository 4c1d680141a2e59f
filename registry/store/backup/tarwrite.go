package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"time"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// The entries of a tar: the head, objects and pointers under these folders in
// any order, and the tail, after which there is nothing.
const (
	headName      = "kiln-backup.json"
	tailName      = "kiln-backup-end.json"
	objectsFolder = "objects/"
	pointerFolder = "pointers/"
	// sumRecord is the PAX record of an entry that is no blob: the sha256 of
	// its bytes, in hex.
	sumRecord = "KILN.sha256"
)

// tail says what came before it.
type tail struct {
	Objects  int    `json:"objects"`
	Pointers int    `json:"pointers"`
	Sum      string `json:"sha256"` // of the lines that entryLine makes, in hex
	// Void entries lost what they name while the backup was made: they are
	// not restored.
	Void    []string        `json:"void,omitempty"`
	Damaged []digest.Digest `json:"damaged,omitempty"` // their bytes are not to be used
}

// entryLine is what the tail's sum is over, for each entry in turn.
func entryLine(name string, size int64, content string) string {
	return fmt.Sprintf("%s\n%d\n%s\n", name, size, content)
}

// Write writes a backup of a store to w, as one tar. Blobs stream; links are
// small; the names of tags and the digests of blobs are held in memory.
func Write(ctx context.Context, from Place, w io.Writer) (Report, error) {
	id, err := readStoreID(ctx, from.Pointers)
	if err != nil {
		return Report{}, err
	}
	t := &tarSink{tar: tar.NewWriter(w), sum: sha256.New(), begun: now()}
	if err := t.json(headName, head{Schema: Schema, StoreID: id, Begun: t.begun}); err != nil {
		return Report{}, err
	}
	s, err := take(ctx, from, t)
	if err != nil {
		return Report{}, err
	}
	s.report.StoreID = id
	for _, p := range s.names {
		if err := t.small(pointerFolder+p.Name, p.Value); err != nil {
			return s.report, err
		}
		t.end.Pointers++
	}
	t.end.Sum, t.end.Void, t.end.Damaged = hex.EncodeToString(t.sum.Sum(nil)), slices.Sorted(maps.Keys(s.void)), s.report.Damaged
	if err := t.json(tailName, t.end); err != nil {
		return s.report, err
	}
	return s.report, t.tar.Close()
}

// tarSink writes a tar.
type tarSink struct {
	tar   *tar.Writer
	sum   hash.Hash
	begun time.Time
	end   tail
}

func (t *tarSink) wants(string) bool { return true }

func (t *tarSink) flush(ctx context.Context) error { return ctx.Err() }

func (t *tarSink) header(name string, size int64, sum string) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: t.begun, Format: tar.FormatPAX}
	if sum != "" {
		h.PAXRecords = map[string]string{sumRecord: sum}
	}
	return t.tar.WriteHeader(h)
}

func (t *tarSink) json(name string, v any) error {
	data, err := json.Marshal(v)
	if err == nil {
		err = t.header(name, int64(len(data)), "")
	}
	if err == nil {
		_, err = t.tar.Write(data)
	}
	return err
}

func (t *tarSink) small(name string, data []byte) error {
	sum := sha256.Sum256(data)
	text := hex.EncodeToString(sum[:])
	if err := t.header(name, int64(len(data)), text); err != nil {
		return err
	}
	io.WriteString(t.sum, entryLine(name, int64(len(data)), text))
	_, err := t.tar.Write(data)
	return err
}

func (t *tarSink) entry(ctx context.Context, key string, data []byte) error {
	t.end.Objects++
	if err := t.small(objectsFolder+key, data); err != nil {
		return err
	}
	return ctx.Err()
}

// blob streams a blob. One whose bytes are not what they should be still takes
// the room that its header says.
func (t *tarSink) blob(ctx context.Context, d digest.Digest, size int64, r io.Reader) error {
	name := objectsFolder + store.BlobKey(d)
	if err := t.header(name, size, ""); err != nil {
		return err
	}
	t.end.Objects++
	io.WriteString(t.sum, entryLine(name, size, string(d)))
	v := newVerifiedReader(until(ctx, r), d, size)
	n, err := io.CopyBuffer(struct{ io.Writer }{t.tar}, io.LimitReader(v, size), make([]byte, 1<<20))
	if err == nil && n == size {
		_, err = io.Copy(io.Discard, v) // sees the end, and what is too much
	}
	if n < size && (err == nil || isDamage(err)) {
		if _, padErr := io.CopyN(t.tar, zeros{}, size-n); padErr != nil {
			return padErr
		}
		return fmt.Errorf("blob %s has %d bytes, not %d: %w", d, n, size, ErrDamaged)
	}
	return err
}
