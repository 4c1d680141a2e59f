package ociclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// watch cancels a request over which nothing moves.
type watch struct {
	idle   time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
	ctx    func() error // why it ended
}

var errIdle = errors.New("the connection does not move")

func newWatch(parent context.Context, idle time.Duration) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(parent)
	w := &watch{idle: idle, cancel: cancel, ctx: func() error { return context.Cause(ctx) }}
	w.timer = time.AfterFunc(idle, func() { cancel(fmt.Errorf("%w for %v", errIdle, idle)) })
	w.timer.Stop() // the transport watches connecting and waiting for the answer
	return ctx, w
}

func (w *watch) start() { w.timer.Reset(w.idle) }
func (w *watch) stop()  { w.timer.Stop() }

// end releases what the watch holds.
func (w *watch) end() {
	w.stop()
	w.cancel(nil)
}

// explain ends the watch with an error, or with its own where that is the cause.
func (w *watch) explain(err error) error {
	cause := w.ctx()
	w.end()
	if errors.Is(cause, errIdle) {
		return cause
	}
	return err
}

// watchedBody is a response's body.
type watchedBody struct {
	io.ReadCloser
	watch *watch
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.watch.start()
	n, err := b.ReadCloser.Read(p)
	b.watch.stop()
	if err != nil && err != io.EOF && errors.Is(b.watch.ctx(), errIdle) {
		err = b.watch.ctx()
	}
	return n, err
}

func (b *watchedBody) Close() error {
	defer b.watch.end()
	return b.ReadCloser.Close()
}

// errSource marks what the caller's reader returned.
var errSource = errors.New("read what is to be sent")

// sentBody is a request's body. A transport may read it even after the answer
// has come; after stop it does not.
type sentBody struct {
	mu      sync.Mutex
	r       io.Reader
	watch   *watch
	n       int64
	failed  error
	stopped bool
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return 0, io.ErrClosedPipe
	}
	b.watch.stop()
	n, err := b.r.Read(p)
	b.n += int64(n)
	switch {
	case err == nil:
		b.watch.start() // until the transport comes for more
	case err != io.EOF:
		b.failed = fmt.Errorf("%w: %w", errSource, err)
		err = b.failed
	}
	return n, err
}

// Close implements io.Closer; the reader stays the caller's.
func (b *sentBody) Close() error {
	b.watch.stop()
	return nil
}

// stop ends reading, and returns what went wrong with it.
func (b *sentBody) stop() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	b.watch.stop()
	return b.failed
}
