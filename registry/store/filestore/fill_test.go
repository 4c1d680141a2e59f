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
	data := make([]byte, 2*pipeDepth*largeBuffer+7)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(data)
	return data
}

func TestFill(t *testing.T) {
	data := large()
	for _, n := range []int{0, 1, smallBuffer - 1, smallBuffer, smallBuffer + 1, smallBuffer + largeBuffer, len(data)} {
		none := newBuffers()
		none.pipes = make(chan *pipe)
		for name, b := range map[string]*buffers{"pipe": newBuffers(), "no pipe free": none} {
			var out bytes.Buffer
			if err := b.fill(t.Context(), &out, iotest.HalfReader(bytes.NewReader(data[:n]))); err != nil {
				t.Errorf("%s, %d bytes: %v", name, n, err)
			}
			if !bytes.Equal(out.Bytes(), data[:n]) {
				t.Errorf("%s, %d bytes: other bytes came out", name, n)
			}
			if b != none && len(b.pipes) != maxPipes {
				t.Errorf("%s, %d bytes: a pipe stays taken", name, n)
			}
		}
	}
}

// watcher is an Inspected that remembers, and fails where it is told to.
type watcher struct {
	io.Reader
	saw      bytes.Buffer
	at       int // fails from this byte on, -1 for never
	finished []error
	last     error // what Finish returns
}

var errSeen = errors.New("seen")

func (w *watcher) Source() io.Reader { return w.Reader }

func (w *watcher) Inspect(p []byte) error {
	w.saw.Write(p)
	if w.at >= 0 && w.saw.Len() > w.at {
		return errSeen
	}
	return nil
}

func (w *watcher) Finish(err error) error {
	w.finished = append(w.finished, err)
	return w.last
}

// TestFillInspects: an Inspected sees every byte in order and has the last word.
func TestFillInspects(t *testing.T) {
	data := large()
	for _, n := range []int{0, 5, smallBuffer, len(data)} {
		for _, last := range []error{io.EOF, errSeen} {
			in := &watcher{Reader: bytes.NewReader(data[:n]), at: -1, last: last}
			var out bytes.Buffer
			err := newBuffers().fill(t.Context(), &out, in)
			if last == io.EOF && err != nil || last != io.EOF && !errors.Is(err, last) {
				t.Errorf("%d bytes, %v: got %v", n, last, err)
			}
			if !bytes.Equal(in.saw.Bytes(), data[:n]) || !bytes.Equal(out.Bytes(), data[:n]) {
				t.Errorf("%d bytes: %d seen, %d written", n, in.saw.Len(), out.Len())
			}
			if len(in.finished) != 1 || in.finished[0] != io.EOF {
				t.Errorf("%d bytes: finished with %v", n, in.finished)
			}
		}
	}
	for _, at := range []int{0, smallBuffer + 1, len(data) - 1} {
		in := &watcher{Reader: io.MultiReader(bytes.NewReader(data), iotest.ErrReader(errors.New("read on"))), at: at, last: io.EOF}
		if err := newBuffers().fill(t.Context(), io.Discard, in); !errors.Is(err, errSeen) {
			t.Errorf("bad at %d: got %v", at, err)
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
