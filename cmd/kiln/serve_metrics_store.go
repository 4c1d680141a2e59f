package main

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"kiln/registry/store"
)

// meteredStore times the operations of a store and makes spans of them in
// traces. What a store offers besides store.Store it passes on.
type meteredStore struct {
	store.Store
	meter storeMeter
}

var (
	_ store.Copier       = (*meteredStore)(nil)
	_ store.FolderLister = (*meteredStore)(nil)
	_ store.Grouper      = (*meteredStore)(nil)
)

// metered wraps both halves of a store.
func metered(st storage, m *serveMetrics) storage {
	meter := newStoreMeter(m.store)
	inner := &meteredStore{st.Store, meter}
	st.Store = inner
	if r, ok := inner.Store.(store.Redirector); ok {
		st.Store = &meteredRedirector{inner, r}
	}
	st.Pointers = &meteredPointers{st.Pointers, meter}
	return st
}

// meteredRedirector is a meteredStore whose objects can be fetched elsewhere.
type meteredRedirector struct {
	*meteredStore
	store.Redirector
}

// Put implements store.Store.
func (s *meteredStore) Put(ctx context.Context, key string, r io.Reader) error {
	ctx, op := s.meter.begin(ctx, "put")
	err := s.Store.Put(ctx, key, r)
	op.done(err)
	return err
}

// Open implements store.Store; reading what it returns is not timed, as that
// goes at the reader's pace.
func (s *meteredStore) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	ctx, op := s.meter.begin(ctx, "open")
	rc, err := s.Store.Open(ctx, key, offset, length)
	op.done(err)
	return rc, err
}

// Stat implements store.Store.
func (s *meteredStore) Stat(ctx context.Context, key string) (store.Info, error) {
	ctx, op := s.meter.begin(ctx, "stat")
	info, err := s.Store.Stat(ctx, key)
	op.done(err)
	return info, err
}

// List implements store.Store.
func (s *meteredStore) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return meteredSeq(ctx, s.meter, "list", func(ctx context.Context) iter.Seq2[store.Info, error] { return s.Store.List(ctx, prefix, after) })
}

// Delete implements store.Store.
func (s *meteredStore) Delete(ctx context.Context, key string) error {
	ctx, op := s.meter.begin(ctx, "delete")
	err := s.Store.Delete(ctx, key)
	op.done(err)
	return err
}

// Copy implements store.Copier, through this process where the store cannot.
func (s *meteredStore) Copy(ctx context.Context, from, to string) error {
	ctx, op := s.meter.begin(ctx, "copy")
	err := copyObject(ctx, s.Store, from, to)
	op.done(err)
	return err
}

func copyObject(ctx context.Context, s store.Store, from, to string) error {
	if c, ok := s.(store.Copier); ok {
		return c.Copy(ctx, from, to)
	}
	rc, err := s.Open(ctx, from, 0, -1)
	if err != nil {
		return err
	}
	defer rc.Close()
	return s.Put(ctx, to, rc)
}

// Folders implements store.FolderLister.
func (s *meteredStore) Folders(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return meteredSeq(ctx, s.meter, "folders", func(ctx context.Context) iter.Seq2[string, error] { return store.Folders(ctx, s.Store, prefix) })
}

// Group implements store.Grouper.
func (s *meteredStore) Group() (store.Store, func(context.Context) error) {
	group, settle := store.Group(s.Store)
	return &meteredStore{group, s.meter}, func(ctx context.Context) error {
		ctx, op := s.meter.begin(ctx, "settle")
		err := settle(ctx)
		op.done(err)
		return err
	}
}

// meteredPointers does for pointers what meteredStore does for objects.
type meteredPointers struct {
	pointers store.Pointers
	meter    storeMeter
}

// Load implements store.Pointers.
func (p *meteredPointers) Load(ctx context.Context, name string) (store.Pointer, error) {
	ctx, op := p.meter.begin(ctx, "load")
	ptr, err := p.pointers.Load(ctx, name)
	op.done(err)
	return ptr, err
}

// Swap implements store.Pointers.
func (p *meteredPointers) Swap(ctx context.Context, old store.Pointer, next []byte) (store.Pointer, error) {
	ctx, op := p.meter.begin(ctx, "swap")
	ptr, err := p.pointers.Swap(ctx, old, next)
	op.done(err)
	return ptr, err
}

// List implements store.Pointers.
func (p *meteredPointers) List(ctx context.Context, prefix, after string) iter.Seq2[store.Pointer, error] {
	return meteredSeq(ctx, p.meter, "list_pointers", func(ctx context.Context) iter.Seq2[store.Pointer, error] {
		return p.pointers.List(ctx, prefix, after)
	})
}

// Names implements store.NameLister.
func (p *meteredPointers) Names(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return meteredSeq(ctx, p.meter, "list_names", func(ctx context.Context) iter.Seq2[string, error] {
		return store.Names(ctx, p.pointers, prefix, after)
	})
}

// Delete implements store.Pointers.
func (p *meteredPointers) Delete(ctx context.Context, old store.Pointer) error {
	ctx, op := p.meter.begin(ctx, "delete_pointer")
	err := p.pointers.Delete(ctx, old)
	op.done(err)
	return err
}

// storeMeter times operations.
type storeMeter struct {
	durations *prometheus.HistogramVec
	ok        map[string]prometheus.Observer // of what is asked most and went well
}

func newStoreMeter(durations *prometheus.HistogramVec) storeMeter {
	m := storeMeter{durations, map[string]prometheus.Observer{}}
	for _, operation := range []string{"stat", "load", "open", "put", "swap", "settle"} {
		m.ok[operation] = durations.WithLabelValues(operation, storeResult(nil))
	}
	return m
}

// timed is an operation that has begun.
type timed struct {
	meter     storeMeter
	operation string
	start     time.Time
	span      trace.Span // nil where the request is not traced
}

// begin starts a span if the request is traced, and the clock.
func (m storeMeter) begin(ctx context.Context, operation string) (context.Context, timed) {
	op := timed{meter: m, operation: operation, start: time.Now()}
	if parent := trace.SpanFromContext(ctx); parent.IsRecording() {
		ctx, op.span = parent.TracerProvider().Tracer("kiln").Start(ctx, "store."+operation)
	}
	return ctx, op
}

// done ends it.
func (op timed) done(err error) {
	if op.span != nil {
		op.span.SetAttributes(attribute.String("kiln.result", storeResult(err)))
		op.span.End()
	}
	op.meter.observe(op.operation, op.start, err)
}

func (m storeMeter) observe(operation string, start time.Time, err error) {
	took := time.Since(start).Seconds()
	if known := m.ok[operation]; err == nil && known != nil {
		known.Observe(took)
		return
	}
	m.durations.WithLabelValues(operation, storeResult(err)).Observe(took)
}

// storeResult is a label for what became of an operation.
func storeResult(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, store.ErrNotFound):
		return "not_found"
	case errors.Is(err, store.ErrConflict):
		return "conflict"
	case errors.Is(err, store.ErrReadOnly):
		return "read_only"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "cancelled"
	}
	return "error"
}

// meteredSeq times a listing to its end, or to where the reader has enough.
func meteredSeq[T any](ctx context.Context, m storeMeter, operation string, list func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, op := m.begin(ctx, operation)
		var failed error
		defer func() { op.done(failed) }()
		for v, err := range list(ctx) {
			if err != nil {
				failed = err
			}
			if !yield(v, err) {
				return
			}
		}
	}
}
