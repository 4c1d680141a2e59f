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
	end  time.Time // of the whole body; zero for one that may go on as it moves
}

func (s *Server) body(w http.ResponseWriter, r *http.Request) *body {
	return &body{r: r.Body, rc: http.NewResponseController(w), idle: s.idle}
}

// limitBody sets the first deadline of a body, also of one that nobody reads:
// net/http waits for its rest before it sends the answer. Writers without
// deadlines, as in tests, are used without.
func (s *Server) limitBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.idle))
	}
}

// Read moves the deadline on. At the end there is none any more, as handling
// may take its time; after an error it stays, so that nobody waits for more.
func (b *body) Read(p []byte) (int, error) {
	end := b.end
	if end.IsZero() {
		end = time.Now().Add(b.idle)
	}
	_ = b.rc.SetReadDeadline(end)
	n, err := b.r.Read(p)
	switch {
	case err == io.EOF:
		_ = b.rc.SetReadDeadline(time.Time{})
	case err != nil:
		_ = b.rc.SetReadDeadline(time.Now())
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

// writer writes an answer to a client that takes it, within the idle timeout.
type writer struct {
	w    io.Writer
	rc   *http.ResponseController
	idle time.Duration
}

func (s *Server) writer(w http.ResponseWriter) *writer {
	return &writer{w: w, rc: http.NewResponseController(w), idle: s.idle}
}

func (w *writer) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	_ = w.rc.SetWriteDeadline(time.Now().Add(w.idle))
	return w.w.Write(p)
}

// copyStep is what of a file is in memory: as little as stays in a processor's
// cache, from where the kernel takes it sooner than from cold pages: over
// loopback that is faster than sendfile (docs/benchmarks.md).
const copyStep = 32 << 10 // bytes

// ReadFrom sends a file in steps, each within the idle timeout.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	buf := chunks.Get().(*[2][chunkSize]byte)
	defer chunks.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, buf[0][:copyStep])
}

// finish sends what is buffered; the connection's next answer has its own time.
func (w *writer) finish() {
	_ = w.rc.Flush()
	_ = w.rc.SetWriteDeadline(time.Time{})
}

// writeAll answers with content. For a small one the client has the time that
// http.Server.WriteTimeout gives.
func (s *Server) writeAll(w http.ResponseWriter, r *http.Request, content []byte) {
	var err error
	if len(content) < chunkSize {
		_, err = w.Write(content)
	} else {
		out := s.writer(w)
		_, err = out.Write(content)
		out.finish()
	}
	if err != nil { // nothing else can be done
		s.log.DebugContext(r.Context(), "client left", "err", err)
	}
}

// sendAny sends length bytes of a blob.
func (s *Server) sendAny(w http.ResponseWriter, src io.Reader, length int64) error {
	blob, ok := src.(registry.CheckedBlob)
	if !ok || length < chunkSize {
		return s.send(w, src)
	}
	out := s.writer(w)
	_, err := blob.WriteTo(out)
	out.finish()
	return err
}

// send copies a blob to the client. The last chunk goes out when src has come
// to its end without an error: a blob that does not match its digest never
// arrives whole, as the connection is cut.
func (s *Server) send(w http.ResponseWriter, src io.Reader) error {
	out := s.writer(w)
	buf := chunks.Get().(*[2][chunkSize]byte)
	defer chunks.Put(buf)
	var held []byte
	for i := 0; ; i = 1 - i {
		n, err := io.ReadFull(src, buf[i][:])
		last := err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		if _, err := out.Write(held); err != nil {
			return err
		}
		held = buf[i][:n]
		if last {
			_, err := out.Write(held)
			out.finish()
			return err
		}
	}
}
