package layers

import "crypto/sha256"

// BlockKey names a compressed block by all that its bytes follow from.
type BlockKey [sha256.Size]byte

// Blocks keeps compressed blocks between the makings of similar layers.
type Blocks interface {
	// Find returns the block with exactly this key, whole; nil if there is
	// none. It is called from several goroutines at once.
	Find(key BlockKey) []byte
	// Made hears of every block of the layer, in its order, and of where in the
	// layer's file it begins.
	Made(key BlockKey, at int64, block []byte)
}

// lender finds blocks in place of compressing them.
type lender struct {
	encoder string
	blocks  Blocks
}

func (l *lender) block(c codec, job *blockJob) blockResult {
	if l.blocks == nil {
		out, err := c.block(job.data, job.previous, job.last)
		return blockResult{out: out, err: err}
	}
	r := blockResult{key: l.key(job)}
	if r.out = l.blocks.Find(r.key); r.out == nil {
		r.out, r.err = c.block(job.data, job.previous, job.last)
	}
	return r
}

func (l *lender) key(job *blockJob) (k BlockKey) {
	before := sha256.Sum256(job.previous[max(0, len(job.previous)-flateWindow):])
	h := sha256.New()
	h.Write([]byte(l.encoder))
	if job.last {
		h.Write([]byte(" last"))
	}
	h.Write([]byte{0})
	h.Write(before[:])
	h.Write(job.data)
	h.Sum(k[:0])
	return k
}

// made tells of a block that was written at some place of the file; one without
// data is a trailer.
func (l *lender) made(job *blockJob, r blockResult, at int64) {
	if l.blocks != nil && job.data != nil {
		l.blocks.Made(r.key, at, r.out)
	}
}
