package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"kiln/registry/store"
)

// Bounds of a readiness probe.
const (
	probeTimeout = 5 * time.Second // of the store
	probeFresh   = time.Second     // an answer is used again for so long
)

// readiness tells load balancers whether to send requests here: while the
// store answers and nobody has asked the server to end.
type readiness struct {
	pointers store.Pointers
	log      *slog.Logger
	leaving  atomic.Bool

	mu    sync.Mutex
	asked time.Time
	last  error
}

var errLeaving = errors.New("the server is shutting down")

// check asks the store, at most once a second.
func (r *readiness) check(ctx context.Context) error {
	if r.leaving.Load() {
		return errLeaving
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.asked) < probeFresh {
		return r.last
	}
	// The answer is everybody's: a client that leaves does not spoil it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	_, err := store.ReadFormat(ctx, r.pointers)
	if (err == nil) != (r.last == nil) || r.asked.IsZero() && err != nil {
		if err != nil {
			r.log.Error("not ready", "err", err)
		} else {
			r.log.Info("ready again")
		}
	}
	r.asked, r.last = time.Now(), err
	return err
}

// ServeHTTP answers /readyz. Why the store does not answer is for the log.
func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	switch err := r.check(req.Context()); {
	case errors.Is(err, errLeaving):
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case err != nil:
		http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(w, "ok")
	}
}

// value is 1 when the server is ready, for metrics.
func (r *readiness) value() float64 {
	if r.check(context.Background()) != nil {
		return 0
	}
	return 1
}

// healthz answers as long as the process does.
func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprintln(w, "ok")
}

// watchDisk adds what is left on the disk of a folder to the metrics.
func watchDisk(m *serveMetrics, dir string) {
	stat := func(value func(unix.Statfs_t) float64) func() float64 {
		return func() float64 {
			var fs unix.Statfs_t
			if err := unix.Statfs(dir, &fs); err != nil {
				return 0
			}
			return value(fs)
		}
	}
	m.watch("kiln_store_free_bytes", "Space that is left for a store in a folder.", stat(func(fs unix.Statfs_t) float64 { return float64(fs.Bavail) * float64(fs.Bsize) }))
	m.watch("kiln_store_free_inodes", "Files that still can be made in a store in a folder.", stat(func(fs unix.Statfs_t) float64 { return float64(fs.Ffree) }))
	m.watch("kiln_store_read_only", "1 where the file system of the store takes no writes.", stat(func(fs unix.Statfs_t) float64 {
		if fs.Flags&unix.ST_RDONLY != 0 {
			return 1
		}
		return 0
	}))
}
