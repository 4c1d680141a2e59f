package layers

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

const (
	gzipLevel = 6
	gzipBlock = 1 << 20
	zstdBlock = 8 << 20
	// flateWindow is deflate's reach: what a block's encoder is shown of the
	// block before it.
	flateWindow = 32 << 10
)

// A codec turns blocks into a compressed stream. block is a pure function of
// its arguments, so that blocks can be compressed on any core in any order;
// the other methods are called in the stream's order by one goroutine.
type codec interface {
	header() []byte
	// add is told of each block before it is compressed, and returns the check
	// sum up to its end.
	add(data []byte) uint32
	// resume is told of what was compressed before.
	resume(crc uint32, size int64)
	block(data, previous []byte, last bool) ([]byte, error)
	trailer() []byte
}

// gzipCodec writes one gzip member (RFC 1952) without name or time. Each block
// is deflated by a fresh encoder that was shown the 32 KiB before it, and ends
// on a byte boundary.
type gzipCodec struct {
	level int
	crc   uint32
	size  uint32
}

func (g *gzipCodec) header() []byte {
	return []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}
}

func (g *gzipCodec) add(data []byte) uint32 {
	g.crc = crc32.Update(g.crc, crc32.IEEETable, data)
	g.size += uint32(len(data))
	return g.crc
}

func (g *gzipCodec) resume(crc uint32, size int64) { g.crc, g.size = crc, uint32(size) }

func (g *gzipCodec) block(data, previous []byte, last bool) ([]byte, error) {
	if len(previous) > flateWindow {
		previous = previous[len(previous)-flateWindow:]
	}
	out := bytes.NewBuffer(make([]byte, 0, len(data)/2+64))
	w, err := flate.NewWriterDict(out, g.level, previous)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if last {
		err = w.Close()
	} else {
		err = w.Flush()
	}
	return out.Bytes(), err
}

func (g *gzipCodec) trailer() []byte {
	b := binary.LittleEndian.AppendUint32(nil, g.crc)
	return binary.LittleEndian.AppendUint32(b, g.size)
}

// zstdCodec writes one zstd frame (RFC 8878) per block; a stream of frames
// decompresses to their concatenation.
type zstdCodec struct{}

func (zstdCodec) header() []byte       { return nil }
func (zstdCodec) add([]byte) uint32    { return 0 }
func (zstdCodec) resume(uint32, int64) {}
func (zstdCodec) trailer() []byte      { return nil }

func (zstdCodec) block(data, _ []byte, _ bool) ([]byte, error) {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithZeroFrames(true))
	if err != nil {
		return nil, err
	}
	out := w.EncodeAll(data, make([]byte, 0, len(data)/2+64))
	return out, w.Close()
}
