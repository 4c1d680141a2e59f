package filestore

import (
	"context"
	"io"
	"sync"
)

const (
	smallBuffer = 64 << 10  // bytes
	largeBuffer = 256 << 10 // bytes
	pipeDepth   = 4         // large buffers of one transfer
	maxPipes    = 32        // transfers that have large buffers at once, in one process
)

// buffers are what writers copy through. Memory is bounded: when all pipes are
// taken, further transfers make do with one small buffer each.
type buffers struct {
	small, pipes sync.Pool
	free         chan struct{}
}

func newBuffers() *buffers {
	b := &buffers{free: make(chan struct{}, maxPipes)}
	b.small.New = func() any { return new([smallBuffer]byte) }
	b.pipes.New = func() any { return new([pipeDepth][largeBuffer]byte) }
	return b
}

// fill copies r to w until its end, or until ctx has ended.
func (b *buffers) fill(ctx context.Context, w io.Writer, r io.Reader) error {
	first := b.small.Get().(*[smallBuffer]byte)
	defer b.small.Put(first)
	r = until(ctx, r)
	n, err := readFull(r, first[:])
	if err != nil && err != io.EOF {
		return err
	}
	if writeErr := write(w, first[:n]); writeErr != nil || err == io.EOF {
		return writeErr
	}
	select {
	case b.free <- struct{}{}:
		defer func() { <-b.free }()
	default:
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, r, first[:])
		return err
	}
	pipe := b.pipes.Get().(*[pipeDepth][largeBuffer]byte)
	defer b.pipes.Put(pipe)
	return pump(w, r, pipe)
}

// pump copies with the writing in a goroutine of its own, so that whatever r
// does with the bytes, hashing as a rule, goes on beside it.
func pump(w io.Writer, r io.Reader, pipe *[pipeDepth][largeBuffer]byte) error {
	free := make(chan []byte, pipeDepth)
	full := make(chan []byte, pipeDepth)
	for i := range pipe {
		free <- pipe[i][:]
	}
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		for p := range full {
			if failed == nil {
				failed = write(w, p)
			}
			if failed != nil {
				p = nil // tells the reader
			}
			free <- p[:cap(p)]
		}
	}()
	err := readInto(full, free, r)
	close(full)
	<-done
	if failed != nil {
		return failed
	}
	return err
}

// readInto reads r into one free buffer after another, until its end or until
// the writer has failed, which an empty buffer tells.
func readInto(full chan<- []byte, free <-chan []byte, r io.Reader) error {
	for p := range free {
		if len(p) == 0 {
			return nil
		}
		n, err := readFull(r, p)
		if n > 0 {
			full <- p[:n]
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readFull reads until p is full or r ends, which io.EOF tells, or fails. An
// io.ErrUnexpectedEOF is r's own.
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
