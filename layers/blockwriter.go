package layers

import (
	"errors"
	"io"
	"runtime"
	"sync/atomic"
)

// blockWriter cuts its input into blocks of a fixed size, compresses them in
// parallel and writes them in order. Memory is a few blocks per core.
type blockWriter struct {
	codec    codec
	lender   *lender
	size     int
	data     []byte // the block being filled
	previous []byte // the block before it
	queue    chan *blockJob
	done     chan error
	broken   atomic.Bool
	closed   bool
}

type blockJob struct {
	data, previous []byte
	crc            uint32 // up to its end
	last           bool
	result         chan blockResult
}

type blockResult struct {
	key BlockKey // if blocks are lent
	out []byte
	err error
}

func newBlockWriter(w io.Writer, c codec, size int, l *lender) *blockWriter {
	b := &blockWriter{
		codec:  c,
		lender: l,
		size:   size,
		queue:  make(chan *blockJob, runtime.GOMAXPROCS(0)),
		done:   make(chan error, 1),
	}
	if from := l.from; from != nil {
		c.resume(from.CRC, from.Raw)
	}
	go b.drain(w)
	return b
}

// drain writes the compressed blocks in order. After an error it goes on
// emptying the queue, so that no Write blocks for ever.
func (b *blockWriter) drain(w io.Writer) {
	at, err := b.lender.begin(w, b.codec.header())
	if err != nil {
		b.broken.Store(true)
	}
	for job := range b.queue {
		r := <-job.result
		if err == nil {
			err = r.err
		}
		if err == nil {
			_, err = w.Write(r.out)
		}
		if err == nil {
			b.lender.made(job, r, at)
			at += int64(len(r.out))
		}
		if err != nil {
			b.broken.Store(true)
		}
	}
	b.done <- err
}

var errCompressorBroken = errors.New("the compressor's output has failed")

// Write adds p to the stream. An error of the output shows here or in Close.
func (b *blockWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if b.broken.Load() {
			return n - len(p), errCompressorBroken
		}
		if b.data == nil {
			b.data = make([]byte, 0, b.size)
		}
		k := min(len(p), b.size-len(b.data))
		b.data = append(b.data, p[:k]...)
		p = p[k:]
		if len(b.data) == b.size && len(p) > 0 {
			b.submit(false)
		}
	}
	return n, nil
}

// submit hands the current block over to be compressed. The queue's length
// bounds how many are under way.
func (b *blockWriter) submit(last bool) {
	job := &blockJob{data: b.data, previous: b.previous, last: last, result: make(chan blockResult, 1)}
	job.crc = b.codec.add(job.data)
	b.queue <- job
	go func() {
		job.result <- b.lender.block(b.codec, job)
	}()
	b.previous, b.data = b.data, nil
}

// Close compresses what is left, writes the trailer and reports the first
// error. It returns once the output has everything.
func (b *blockWriter) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	b.submit(true)
	trailer := b.codec.trailer()
	end := &blockJob{result: make(chan blockResult, 1)}
	end.result <- blockResult{out: trailer}
	b.queue <- end
	close(b.queue)
	return <-b.done
}
