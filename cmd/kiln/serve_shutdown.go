package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// lifecycle ends a server as its clients would wish: it tells load balancers
// first, then takes no more connections, lets running requests finish, and
// blobs that are coming in a while longer.
type lifecycle struct {
	cfg    shutdownConfig
	log    *slog.Logger
	ready  *readiness
	watch  *observer        // counts what runs
	again  <-chan os.Signal // a second signal: end now
	server *http.Server
}

// serve answers on listener until ctx ends, and then ends as cfg says.
func (l *lifecycle) serve(ctx context.Context, listener net.Listener) error {
	failed := make(chan error, 1)
	go func() {
		if l.server.TLSConfig != nil {
			failed <- l.server.ServeTLS(listener, "", "")
			return
		}
		failed <- l.server.Serve(listener)
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	l.ready.leaving.Store(true)
	l.log.Info("shutting down", "requests", l.watch.requests.Load(), "uploads", l.watch.uploads.Load())
	if err := l.end(); err != nil {
		return err
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// end lets running requests finish. An error says what was cut.
func (l *lifecycle) end() error {
	// What runs has its own time, which the caller's end does not shorten.
	ctx, cut := context.WithCancelCause(context.Background())
	defer cut(nil)
	go l.patience(ctx, cut)
	if l.cfg.drain > 0 {
		select {
		case <-time.After(l.cfg.drain):
		case <-ctx.Done():
		}
	}
	err := l.server.Shutdown(ctx)
	if err == nil {
		return nil
	}
	if running := l.watch.requests.Load(); running > 0 {
		err = fmt.Errorf("shut down: %w: %d requests were cut", context.Cause(ctx), running)
		return errors.Join(err, l.server.Close())
	}
	return l.server.Close() // only connections that nobody used
}

// lastWords is how long answers that are ready may take to leave.
const lastWords = time.Second

// patience ends ctx when nothing is waited for any longer.
func (l *lifecycle) patience(ctx context.Context, cut context.CancelCauseFunc) {
	begin := time.Now().Add(l.cfg.drain)
	var over time.Time // since when nothing is waited for
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.again:
			cut(errors.New("a second signal"))
			return
		case <-tick.C:
		}
		waited := time.Since(begin)
		if waited <= l.cfg.timeout || l.watch.uploads.Load() > 0 && waited <= l.cfg.uploads {
			over = time.Time{}
			continue
		}
		if over.IsZero() {
			over = time.Now()
		}
		if time.Since(over) > lastWords {
			cut(fmt.Errorf("time is over after %v", waited.Round(time.Millisecond)))
			return
		}
	}
}
