package ociserver

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"kiln/registry"
)

// body is a request's body that may rest for a while, but not longer. What
// goes wrong with it is the client's fault: CodeBlobUploadInvalid.
type body struct {
	r    io.Reader
	rc   *http.ResponseController
	idle time.Duration
}

func (s *Server) body(w http.ResponseWriter, r *http.Request) *body {
	return &body{r: r.Body, rc: http.NewResponseController(w), idle: s.idle}
}

func (b *body) Read(p []byte) (int, error) {
	// A writer that has no deadlines, as in tests, is used without.
	_ = b.rc.SetReadDeadline(time.Now().Add(b.idle))
	n, err := b.r.Read(p)
	if err != nil {
		_ = b.rc.SetReadDeadline(time.Time{})
	}
	if err != nil && err != io.EOF {
		err = registry.Errorf(registry.CodeBlobUploadInvalid, "the request's body broke off: %w", err)
	}
	return n, err
}

// exactly refuses a body that has not n bytes, with CodeSizeInvalid.
type exactly struct {
	r io.Reader
	n int64 // still to come
}

func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.n -= int64(n)
	if e.n < 0 || err == io.EOF && e.n != 0 {
		return n, registry.Errorf(registry.CodeSizeInvalid, "the body is not as long as its header says")
	}
	return n, err
}

// chunkSize is how much of a blob is in memory, twice.
const chunkSize = 64 << 10

var chunks = sync.Pool{New: func() any { return new([2][chunkSize]byte) }}

// send copies a blob to the client. The last chunk goes out when src has come
// to its end without an error: a blob that does not match its digest never
// arrives whole, as the connection is cut.
func (s *Server) send(w http.ResponseWriter, src io.Reader) error {
	rc := http.NewResponseController(w)
	write := func(p []byte) error {
		if len(p) == 0 {
			return nil
		}
		_ = rc.SetWriteDeadline(time.Now().Add(s.idle))
		_, err := w.Write(p)
		return err
	}
	buf := chunks.Get().(*[2][chunkSize]byte)
	defer chunks.Put(buf)
	var held []byte
	for i := 0; ; i = 1 - i {
		n, err := io.ReadFull(src, buf[i][:])
		last := err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		if err := write(held); err != nil {
			return err
		}
		held = buf[i][:n]
		if last {
			defer rc.SetWriteDeadline(time.Time{})
			return write(held)
		}
	}
}
