package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// blob is content that is not held: a number that nobody else has, and then
// the same random bytes over and over.
type blob struct {
	number uint64
	size   int64
	digest string
}

var pattern = func() []byte {
	p := make([]byte, mib)
	source := rand.NewChaCha8([32]byte{})
	_, _ = source.Read(p)
	return p
}()

var numbers uint64

// newBlob makes a blob and hashes it. Not for several goroutines at once.
func newBlob(size int64) blob {
	numbers++
	b := blob{number: numbers, size: size}
	h := sha256.New()
	for _, part := range b.bytes() {
		h.Write(part)
	}
	b.digest = fmt.Sprintf("sha256:%x", h.Sum(nil))
	return b
}

func newBlobs(n int, size int64) []blob {
	blobs := make([]blob, n)
	for i := range blobs {
		blobs[i] = newBlob(size)
	}
	return blobs
}

// bytes is the content, in pieces.
func (b blob) bytes() net.Buffers {
	if b.size == 0 {
		return nil
	}
	head := binary.BigEndian.AppendUint64(nil, b.number)
	parts := net.Buffers{head[:min(int64(len(head)), b.size)]}
	for left := b.size - int64(len(parts[0])); left > 0; {
		n := min(left, mib)
		parts = append(parts, pattern[:n])
		left -= n
	}
	return parts
}

// file is where kiln keeps the blob: nginx serves the same file.
func (b blob) file() string {
	hex := b.digest[len("sha256:"):]
	return "/blobs/sha256/" + hex[:2] + "/" + hex
}
