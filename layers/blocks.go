package layers

import (
	"crypto/sha256"
	"io"
)

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
	// Beginning returns the longest-known beginning of a layer under this key,
	// and its file; nil if there is none. The blocks and beginnings within it
	// count as made.
	Beginning(key BlockKey) (Beginning, io.Reader)
	// Began hears of the beginnings of the layer that were made.
	Began(key BlockKey, b Beginning)
}

// lender finds blocks in place of compressing them.
type lender struct {
	encoder string
	blocks  Blocks
	digest  *sum     // of the layer's file
	outline *outline // nil if nothing is lent
	from    *begun   // nil if the layer is made as a whole
	ends    []blockEnd
}

// blockEnd is what is known of a layer's file where a block ends.
type blockEnd struct {
	size int64
	sum  []byte
	crc  uint32
}

// lendFor is the lender of a layer. Where it can be made from a beginning on, the
// tar's sum goes on from there.
func lendFor(sorted []Entry, meta *Meta, opts BuildOptions, diff *statesSum) (*lender, error) {
	l := &lender{blocks: opts.Blocks, digest: newSum()}
	if opts.Blocks == nil {
		return l, nil
	}
	l.outline = outlineOf(sorted, meta.Encoder, meta.Compression.block())
	if opts.Raw != nil { // which wants all of the tar
		return l, nil
	}
	l.from = l.outline.resume(opts.Blocks)
	if l.from != nil && diff.restore(l.from.Diff, l.from.Raw) != nil {
		return nil, ErrBeginning
	}
	return l, nil
}

// begin writes what comes before the first block that is made.
func (l *lender) begin(w io.Writer, head []byte) (int64, error) {
	if l.from != nil {
		return l.from.Size, l.from.copyTo(w, l.digest)
	}
	_, err := w.Write(head)
	return int64(len(head)), err
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
		l.ends = append(l.ends, blockEnd{at + int64(len(r.out)), l.digest.state(), job.crc})
	}
}

// began tells of the beginnings that end with the blocks made.
func (l *lender) began(diff *statesSum) {
	o, first := l.outline, 0
	if o == nil {
		return
	}
	if l.from != nil {
		first = int(l.from.Raw / o.block)
	}
	for i, end := range l.ends[:min(len(l.ends), len(diff.states))] {
		if n := first + i; n < len(o.keys) {
			l.blocks.Began(o.keys[n], Beginning{
				Raw: int64(n+1) * o.block, Size: end.size, Diff: diff.states[i], Sum: end.sum, CRC: end.crc,
			})
		}
	}
}
