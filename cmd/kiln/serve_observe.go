package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"kiln/registry/access"
)

// observer is what every request passes first: it gives the request an id and
// deadlines, counts and logs it, and answers for handlers that panic. The time
// in which a small answer has to be taken is the server's (see httpServer).
type observer struct {
	log      *slog.Logger
	metrics  *serveMetrics
	proxies  []netip.Prefix
	idle     time.Duration // a body or a large answer may rest
	uploads  atomic.Int64  // blobs coming in
	requests atomic.Int64  // running
}

func (o *observer) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		q := requestAbout(r)
		q.identify(r, o.proxies)
		w.Header()[requestIDHeader] = []string{q.id}
		a := &answer{ResponseWriter: w}
		if q.isLong() { // what moves blobs has deadlines of its own
			_ = a.controller().SetWriteDeadline(time.Time{})
		} else {
			a.idle = o.idle
		}
		ctx, who := access.WithSlot(&requestContext{r.Context(), q})
		q.who = who
		r = r.WithContext(ctx)
		var body *receivedBody
		if r.ContentLength != 0 {
			body = &receivedBody{ReadCloser: r.Body}
			r.Body = body
			_ = a.controller().SetReadDeadline(begin.Add(o.idle))
		}
		o.enter(q)
		defer func() {
			o.leave(q)
			cause := recover()
			o.finish(r, q, a, body.received(), time.Since(begin), cause)
		}()
		next.ServeHTTP(a, r)
	})
}

// enter counts a request as running.
func (o *observer) enter(q *request) {
	o.requests.Add(1)
	if q.isUpload() {
		o.uploads.Add(1)
	}
}

func (o *observer) leave(q *request) {
	o.requests.Add(-1)
	if q.isUpload() {
		o.uploads.Add(-1)
	}
}

// finish tells what became of a request. A handler that panicked is a bug: the
// client learns the request's id, or sees the answer cut.
func (o *observer) finish(r *http.Request, q *request, a *answer, received int64, took time.Duration, cause any) {
	if cause != nil && cause != http.ErrAbortHandler {
		o.metrics.panics.Inc()
		o.log.Error("panic", "request_id", q.id, "err", cause, "stack", string(debug.Stack()))
		if a.status == 0 {
			http.Error(a, "internal error, request "+q.id, http.StatusInternalServerError)
			cause = nil
		} else {
			cause = http.ErrAbortHandler
		}
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if r.ContentLength != 0 {
		// net/http waits for the rest of a body that nobody read.
		_ = a.controller().SetReadDeadline(time.Now().Add(o.idle))
	}
	if a.idle == 0 { // what is left of the answer is small
		_ = a.controller().SetWriteDeadline(time.Now().Add(o.idle))
	}
	cut := cause != nil
	if body, ok := r.Body.(*receivedBody); ok && body.wasCut(r.Context()) {
		a.status, cut = statusCut, true
	}
	o.metrics.request(r, q, a.status, received, a.sent, took)
	o.access(r, q, a, received, took, cut)
	if cause != nil {
		panic(cause)
	}
}

// access writes the line of one request. No URL is in it: queries hold tokens.
func (o *observer) access(r *http.Request, q *request, a *answer, received int64, took time.Duration, cut bool) {
	level := slog.LevelInfo
	if q.isProbe() {
		level = slog.LevelDebug
	}
	if !o.log.Enabled(context.Background(), level) {
		return
	}
	ctx := context.WithoutCancel(r.Context())
	attrs := make([]slog.Attr, 0, 16)
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("request_id", q.id)
	add("method", q.method)
	add("kind", q.kind)
	add("repo", q.repo)
	add("tag", q.tag)
	add("digest", q.digest)
	attrs = append(attrs, slog.Int("status", a.status), slog.Int64("bytes", a.sent), slog.Int64("received", received),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000))
	add("identity", q.who.Name())
	add("remote", q.remote)
	add("trace_id", q.trace)
	if cut {
		attrs = append(attrs, slog.Bool("cut", true))
	}
	o.log.LogAttrs(ctx, level, "request", attrs...)
}

// answer is a response that is being counted.
type answer struct {
	http.ResponseWriter
	idle   time.Duration // 0 where the handler sets deadlines itself
	status int
	sent   int64
}

func (a *answer) controller() *http.ResponseController {
	return http.NewResponseController(a.ResponseWriter)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.begin(len(p))
	n, err := a.ResponseWriter.Write(p)
	a.sent += int64(n)
	return n, err
}

// largeAnswer is what no kernel is sure to take without the client.
const largeAnswer = 64 << 10 // bytes

// begin is called before n bytes more are written.
func (a *answer) begin(n int) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.idle > 0 && a.sent+int64(n) >= largeAnswer {
		_ = a.controller().SetWriteDeadline(time.Now().Add(a.idle))
	}
}

// receivedBody counts a request's body. A handler may leave a reader behind,
// so the count is atomic.
type receivedBody struct {
	io.ReadCloser
	n       atomic.Int64
	failed  atomic.Bool // before its end
	dropped atomic.Bool // with its connection
}

// received is what came of a body; none came of none.
func (b *receivedBody) received() int64 {
	if b == nil {
		return 0
	}
	return b.n.Load()
}

// statusCut is logged of a request whose body ended before its end, as the
// client went or the server did: whatever the handler answered, nobody read it.
const statusCut = 499

// wasCut tells whether the connection went while the body was read.
func (b *receivedBody) wasCut(ctx context.Context) bool {
	return b.dropped.Load() || b.failed.Load() && ctx.Err() != nil
}

// Read implements io.Reader.
func (b *receivedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	if err != nil && err != io.EOF {
		b.failed.Store(true)
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) {
			b.dropped.Store(true)
		}
	}
	return n, err
}
