package filestore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// large needs every buffer of a pipe more than once.
func large() []byte {
	data := make([]byte, 3*pipeDepth*largeBuffer+7)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(data)
	return data
}

func TestFill(t *testing.T) {
	data := large()
	for _, n := range []int{0, 1, smallBuffer - 1, smallBuffer, smallBuffer + 1, smallBuffer + largeBuffer, len(data)} {
		none := newBuffers()
		none.free = make(chan struct{})
		for name, b := range map[string]*buffers{"pipe": newBuffers(), "no pipe free": none} {
			var out bytes.Buffer
			if err := b.fill(t.Context(), &out, iotest.HalfReader(bytes.NewReader(data[:n]))); err != nil {
				t.Errorf("%s, %d bytes: %v", name, n, err)
			}
			if !bytes.Equal(out.Bytes(), data[:n]) {
				t.Errorf("%s, %d bytes: other bytes came out", name, n)
			}
			if len(b.free) != 0 {
				t.Errorf("%s, %d bytes: a pipe stays taken", name, n)
			}
		}
	}
}

// failingWriter takes some bytes and then fails, or, without an error, writes
// less than it was given.
type failingWriter struct {
	left int
	err  error
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left >= 0 {
		return len(p), nil
	}
	return len(p) / 2, w.err
}

// TestFillFails: whatever fails, wherever, ends the copy with that error.
func TestFillFails(t *testing.T) {
	data, broken := large(), errors.New("broken")
	for _, at := range []int{0, smallBuffer + 1, len(data) / 2} {
		for _, want := range []error{broken, io.ErrUnexpectedEOF} { // the latter is no end
			r := io.MultiReader(bytes.NewReader(data[:at]), iotest.ErrReader(want))
			if err := newBuffers().fill(t.Context(), io.Discard, r); !errors.Is(err, want) {
				t.Errorf("reader fails at %d: got %v, want %v", at, err, want)
			}
		}
		for _, c := range []struct{ err, want error }{{broken, broken}, {nil, io.ErrShortWrite}} {
			if err := newBuffers().fill(t.Context(), &failingWriter{at, c.err}, bytes.NewReader(data)); !errors.Is(err, c.want) {
				t.Errorf("writer fails at %d: got %v, want %v", at, err, c.want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		r := io.MultiReader(bytes.NewReader(data[:at]), readFunc(func([]byte) (int, error) {
			cancel()
			return 0, nil
		}))
		if err := newBuffers().fill(ctx, io.Discard, r); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at %d: %v", at, err)
		}
	}
}
