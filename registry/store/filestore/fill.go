package filestore

import (
	"bytes"
	"context"
	"io"
	"sync"

	"kiln/registry/store"
)

const (
	smallBuffer = 64 << 10  // bytes
	largeBuffer = 512 << 10 // bytes
	pipeDepth   = 4         // large buffers of one transfer
	maxPipes    = 8         // transfers that have large buffers at once, in one process
)

// pipe is the buffers of one transfer, one behind the other.
type pipe [pipeDepth * largeBuffer]byte

func (p *pipe) buffer(i int) []byte {
	return p[i*largeBuffer : (i+1)*largeBuffer : (i+1)*largeBuffer]
}

// buffers are what writers copy through. Memory is bounded: when all pipes are
// taken, further transfers make do with one small buffer each.
type buffers struct {
	small sync.Pool
	pipes chan *pipe // nil where it is not made yet
}

func newBuffers() *buffers {
	b := &buffers{pipes: make(chan *pipe, maxPipes)}
	b.small.New = func() any { return new([smallBuffer]byte) }
	for range maxPipes {
		b.pipes <- nil
	}
	return b
}

// fill copies r to w until its end, or until ctx has ended.
func (b *buffers) fill(ctx context.Context, w io.Writer, r io.Reader) error {
	in := inspected(r)
	source := until(ctx, in.Source())
	first := b.small.Get().(*[smallBuffer]byte)
	defer b.small.Put(first)
	n, err := readFull(source, first[:])
	if err == nil {
		select {
		case p := <-b.pipes:
			defer func() { b.pipes <- p }()
			if p == nil {
				p = new(pipe)
			}
			return p.copy(w, io.MultiReader(bytes.NewReader(first[:n]), source), in)
		default:
		}
	}
	if err := inspectWrite(in, w, first[:n]); err != nil {
		return err
	}
	for err == nil {
		n, err = readFull(source, first[:])
		if err := inspectWrite(in, w, first[:n]); err != nil {
			return err
		}
	}
	return finish(in, err)
}

func inspectWrite(in store.Inspected, w io.Writer, p []byte) error {
	if err := in.Inspect(p); err != nil {
		return err
	}
	return write(w, p)
}

// finish has the last word on a source that ended with err.
func finish(in store.Inspected, err error) error {
	if err = in.Finish(err); err == io.EOF {
		return nil
	}
	return err
}

// copy takes what the pipe holds at once, as most blobs are small: one that
// ends there is inspected and written in one piece, side by side. Handing
// pieces from goroutine to goroutine would cost it more than they gain.
func (p *pipe) copy(w io.Writer, source io.Reader, in store.Inspected) error {
	n, err := readFull(source, p[:])
	if err == nil {
		return p.pump(w, source, in)
	}
	seen := make(chan error, 1)
	go func() { seen <- in.Inspect(p[:n]) }()
	failed := write(w, p[:n])
	switch bad := <-seen; {
	case bad != nil:
		return bad
	case failed != nil:
		return failed
	}
	return finish(in, err)
}

// pump goes on behind a pipe that is full. It reads in this goroutine, and
// inspects and writes what was read in two more, side by side: bytes found bad
// make the copy fail, wherever they are by then. A socket that is read without
// pause costs less, too: its bytes are still in the processor's cache.
func (p *pipe) pump(w io.Writer, source io.Reader, in store.Inspected) error {
	free, fresh := make(chan []byte, pipeDepth), make(chan []byte, pipeDepth)
	passed, seen := make(chan []byte, pipeDepth), make(chan error, pipeDepth)
	for i := range pipeDepth {
		fresh <- p.buffer(i)
	}
	go func() {
		defer close(passed)
		var bad error
		for b := range fresh {
			passed <- b
			if bad == nil {
				bad = in.Inspect(b)
			}
			seen <- bad
		}
	}()
	var bad, failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := range passed {
			if bad == nil && failed == nil {
				failed = write(w, b)
			}
			if bad = <-seen; bad != nil || failed != nil {
				b = nil
			}
			free <- b[:cap(b)] // empty once something is wrong
		}
	}()
	ended := readInto(fresh, free, source)
	close(fresh)
	<-done
	switch {
	case bad != nil:
		return bad
	case failed != nil:
		return failed
	}
	return finish(in, ended)
}

// readInto reads source into one free buffer after another and returns what it
// ended with, or nil when an empty buffer says that it need not go on.
func readInto(fresh chan<- []byte, free <-chan []byte, source io.Reader) error {
	for b := range free {
		if len(b) == 0 {
			return nil
		}
		n, err := readFull(source, b)
		if n > 0 {
			fresh <- b[:n]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readFull reads until p is full or r has ended, which io.EOF tells, or failed.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

// write refuses a short write that says nothing.
func write(w io.Writer, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	n, err := w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// inspected makes one of any reader.
func inspected(r io.Reader) store.Inspected {
	if in, ok := r.(store.Inspected); ok {
		return in
	}
	return uninspected{r}
}

// uninspected is a reader that nobody looks into.
type uninspected struct{ io.Reader }

func (u uninspected) Source() io.Reader    { return u.Reader }
func (uninspected) Inspect([]byte) error   { return nil }
func (uninspected) Finish(err error) error { return err }
