package s3store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

func body(t *testing.T, p part) string {
	t.Helper()
	for range 2 { // it can be sent again
		if _, err := io.Copy(io.Discard, p.body()); err != nil {
			t.Fatal(err)
		}
	}
	data, err := io.ReadAll(p.body())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	if int64(len(data)) != p.size || hex.EncodeToString(sum[:]) != p.sum {
		t.Errorf("part says %d bytes, %s; has %d, %x", p.size, p.sum, len(data), sum)
	}
	return string(data)
}

// TestParts: however many uploads, four parts lie in memory and the others in
// files without a name.
func TestParts(t *testing.T) {
	const size = 100_000
	pool := newPartPool(size)
	files := 0
	pool.spool = func() (*os.File, error) { files++; return spoolFile() }
	var parts []part
	for i := range memoryParts + 3 {
		p, err := pool.fill(t.Context(), strings.NewReader(strings.Repeat(string(rune('a'+i)), size+1)), 1)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, p)
	}
	if files != 3 {
		t.Errorf("%d parts in files, want 3", files)
	}
	for i, p := range parts {
		if got := body(t, p); got != strings.Repeat(string(rune('a'+i)), size) || p.last {
			t.Errorf("part %d holds %d bytes, last %v", i, len(got), p.last)
		}
		p.free()
	}
	if p, err := pool.fill(t.Context(), strings.NewReader("end"), 1); err != nil || body(t, p) != "end" || !p.last || files != 3 {
		t.Errorf("after that: %+v, %v, %d files", p, err, files)
	}
	if p, err := pool.fill(t.Context(), bytes.NewReader(make([]byte, 20*size)), large); err != nil || p.size != 16*size || p.last {
		t.Errorf("part %d: %d bytes, %v", large, p.size, err)
	}
}

// TestPartsBreak: a reader that breaks, in whatever way, makes no part. With
// io.ReadFull a body that was cut off would pass for one that ended.
func TestPartsBreak(t *testing.T) {
	pool := newPartPool(100_000)
	for range memoryParts + 1 { // the last one in a file; none is freed
		for _, cause := range []error{io.ErrUnexpectedEOF, errors.New("broken"), context.Canceled} {
			r := io.MultiReader(strings.NewReader("some"), iotest.ErrReader(cause))
			if _, err := pool.fill(t.Context(), r, 1); !errors.Is(err, cause) {
				t.Errorf("got %v, want %v", err, cause)
			}
		}
		if _, err := pool.fill(t.Context(), strings.NewReader("x"), 1); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pool.fill(ctx, strings.NewReader("x"), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}
