package s3store

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"kiln/registry/store"

	"github.com/minio/minio-go/v7"
)

// objectReader reads an object, and goes on with another request where one
// breaks. Its context is that of the Open that made it.
type objectReader struct {
	ctx      context.Context
	cancel   context.CancelFunc
	s        *Store
	key      string
	offset   int64 // of the next byte
	rest     int64 // bytes to read; negative: to the end
	etag     string
	body     io.ReadCloser
	patience patience
}

// connect asks until there is a body to read.
func (d *objectReader) connect() error {
	for {
		body, err := d.get()
		if err == nil {
			d.body = body
			return nil
		}
		if e := minio.ToErrorResponse(err); e.StatusCode == http.StatusRequestedRangeNotSatisfiable {
			d.body = http.NoBody // it ends before offset
			return nil
		}
		switch v := judge(d.ctx, err); {
		case d.ctx.Err() != nil:
			return d.ctx.Err()
		case isAbsent(err):
			return store.ErrNotFound
		case errors.Is(err, errChanged), v == fatal, v == refused:
			return d.s.explain(err)
		}
		if err := d.patience.next(d.ctx, err); err != nil {
			return err
		}
	}
}

var errChanged = errors.New("object was replaced while it was read")

// get sends one request for a range. The body ends with the time that its
// headers or a read of it may take.
func (d *objectReader) get() (io.ReadCloser, error) {
	var o minio.GetObjectOptions
	switch {
	case d.rest >= 0:
		if err := o.SetRange(d.offset, d.offset+d.rest-1); err != nil {
			return nil, err
		}
	case d.offset > 0:
		if err := o.SetRange(d.offset, 0); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(d.ctx)
	b := &watched{timer: time.AfterFunc(d.s.limits.timeout, cancel), timeout: d.s.limits.timeout, cancel: cancel}
	body, info, _, err := d.s.api.GetObject(ctx, d.s.bucket, d.s.objectKey(d.key), o)
	b.timer.Stop()
	if err != nil {
		cancel()
		return nil, err
	}
	b.ReadCloser = body
	if d.etag == "" {
		d.etag = info.ETag
	}
	if info.ETag != d.etag {
		return nil, errors.Join(errChanged, b.Close())
	}
	return b, nil
}

// watched is a body whose reads may not stall.
type watched struct {
	io.ReadCloser
	timer   *time.Timer
	timeout time.Duration
	cancel  context.CancelFunc
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.timeout)
	defer w.timer.Stop()
	return w.ReadCloser.Read(p)
}

func (w *watched) Close() error {
	w.timer.Stop()
	err := w.ReadCloser.Close()
	w.cancel()
	return err
}

// Read implements io.Reader.
func (d *objectReader) Read(p []byte) (int, error) {
	for {
		n, err := d.body.Read(p)
		d.offset += int64(n)
		if d.rest > 0 {
			d.rest -= int64(n)
		}
		if n > 0 {
			d.patience.made = 0
		}
		switch {
		case err == nil, err == io.EOF:
			return n, err
		case d.ctx.Err() != nil:
			return n, d.ctx.Err()
		case n > 0 && d.rest != 0:
			return n, nil // the next read fails again, and goes on elsewhere
		case d.rest == 0:
			return n, io.EOF
		}
		_ = d.body.Close() // broken
		if err := d.patience.next(d.ctx, err); err != nil {
			return 0, err
		}
		if err := d.connect(); err != nil {
			return 0, err
		}
	}
}

// Close implements io.Closer.
func (d *objectReader) Close() error {
	defer d.cancel()
	return d.body.Close()
}
