package s3store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"time"
)

// memoryParts is how many parts lie in memory at once, whatever the number of
// uploads; the others lie in files, so that a slow client holds no memory that
// another waits for.
const memoryParts = 4

// partPool has room for parts.
type partPool struct {
	size  int64
	bufs  chan []byte // nil ones are not made yet
	spool func() (*os.File, error)
}

func newPartPool(size int64) *partPool {
	p := &partPool{size: size, bufs: make(chan []byte, memoryParts), spool: spoolFile}
	for range memoryParts {
		p.bufs <- nil
	}
	return p
}

// spoolFile is a temporary file that has no name any more.
func spoolFile() (*os.File, error) {
	f, err := os.CreateTemp("", "kiln-part-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// part is a piece of an object, at hand to be sent, again if need be.
type part struct {
	size int64
	sum  string // hex sha256
	last bool   // the reader ended
	body func() io.ReadSeeker
	free func()
}

// large is the number from which parts are larger, so that 10,000 of them
// suffice for 1 TiB.
const large = 1000

// fill reads part number of an object. Where r fails there is none.
func (p *partPool) fill(ctx context.Context, r io.Reader, number int) (part, error) {
	if number >= large {
		return p.fillFile(ctx, r, 16*p.size)
	}
	select {
	case buf := <-p.bufs:
		if buf == nil {
			buf = make([]byte, p.size)
		}
		n, last, err := readFull(ctx, r, buf)
		if err != nil {
			p.bufs <- buf
			return part{}, err
		}
		return memoryPart(buf[:n], last, func() { p.bufs <- buf }), nil
	default:
		return p.fillFile(ctx, r, p.size)
	}
}

func memoryPart(data []byte, last bool, free func()) part {
	sum := sha256.Sum256(data)
	return part{
		size: int64(len(data)), sum: hex.EncodeToString(sum[:]), last: last, free: free,
		body: func() io.ReadSeeker { return bytes.NewReader(data) },
	}
}

func (p *partPool) fillFile(ctx context.Context, r io.Reader, size int64) (part, error) {
	f, err := p.spool()
	if err != nil {
		return part{}, err
	}
	hash, buf := sha256.New(), make([]byte, small)
	var n int64
	last := false
	for n < size && !last && err == nil {
		var got int
		got, last, err = readFull(ctx, r, buf[:min(size-n, small)])
		hash.Write(buf[:got])
		if _, broken := f.Write(buf[:got]); err == nil {
			err = broken
		}
		n += int64(got)
	}
	if err != nil {
		return part{}, errors.Join(err, f.Close())
	}
	return part{
		size: n, sum: hex.EncodeToString(hash.Sum(nil)), last: last, free: func() { _ = f.Close() },
		body: func() io.ReadSeeker { return io.NewSectionReader(f, 0, n) },
	}, nil
}

// readFull reads until buf is full or r ends. Unlike io.ReadFull it tells a
// reader that ended from one that broke with io.ErrUnexpectedEOF.
func readFull(ctx context.Context, r io.Reader, buf []byte) (n int, ended bool, err error) {
	for n < len(buf) {
		if err := ctx.Err(); err != nil {
			return n, false, err
		}
		got, err := r.Read(buf[n:])
		n += got
		if err == io.EOF {
			return n, true, nil
		}
		if err != nil {
			return n, false, err
		}
	}
	return n, false, nil
}

// movingBody is a body that has to move: each read of it gives the request
// more time.
type movingBody struct {
	io.ReadSeeker
	timer   *time.Timer
	timeout time.Duration
}

func (b movingBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.timeout)
	return b.ReadSeeker.Read(p)
}

// moving sends a part once. It gives up when nothing was sent for the time of
// timeout, or nothing was answered that long after the last byte.
func moving[T any](ctx context.Context, timeout time.Duration, p part, send func(ctx context.Context, body io.Reader) (T, error)) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := time.AfterFunc(timeout, cancel)
	defer timer.Stop()
	return send(ctx, movingBody{p.body(), timer, timeout})
}
