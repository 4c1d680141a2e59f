package layers

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
)

// Beginning is the end of a block of a layer, from where the layer can be made
// without what comes before: the bytes of both its forms up to there are known
// by the states of their SHA-256 (encoding.BinaryMarshaler).
type Beginning struct {
	Raw  int64  `json:"raw"`  // bytes of the tar
	Size int64  `json:"size"` // bytes of the layer's file
	Diff []byte `json:"diff"` // the state over the tar
	Sum  []byte `json:"sum"`  // the state over the file
	CRC  uint32 `json:"crc,omitempty"`
}

// ErrBeginning says that the bytes of a beginning are not what they were.
var ErrBeginning = errors.New("the beginning of the layer is damaged")

// outline is what follows from the entries of a layer before their content is
// read: as far as its digests are known.
type outline struct {
	block  int64
	starts []int64    // of the entries in the tar
	keys   []BlockKey // of the beginnings of 1, 2, … blocks
}

// outlineOf names each beginning by the encoder and by the headers and digests of
// all entries that reach into it.
func outlineOf(entries []Entry, encoder string, block int) *outline {
	o := &outline{block: int64(block)}
	w := &outlineWriter{sum: sha256.New()}
	fmt.Fprintf(w.sum, "%s\x00", encoder)
	tw := tar.NewWriter(w)
	zeros := make([]byte, 64<<10)
	for i := range entries {
		e := &entries[i]
		if !e.known() || tw.Flush() != nil { // which pads
			break
		}
		o.starts = append(o.starts, w.n)
		if tw.WriteHeader(e.header()) != nil { // it is told when the layer is written
			break
		}
		io.WriteString(w.sum, e.Digest+"\x00")
		w.silent = true
		for left := e.Size; left > 0; {
			n, err := tw.Write(zeros[:min(left, int64(len(zeros)))])
			if left -= int64(n); err != nil {
				return o
			}
		}
		w.silent = false
		for end := (w.n + 511) / 512 * 512; int64(len(o.keys)+1)*o.block <= end; {
			o.keys = append(o.keys, BlockKey(w.sum.Sum(nil)))
		}
	}
	return o
}

// outlineWriter counts a tar and hashes what is no content of it.
type outlineWriter struct {
	sum    hash.Hash
	n      int64
	silent bool
}

func (w *outlineWriter) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	if !w.silent {
		w.sum.Write(p)
	}
	return len(p), nil
}

// sum is the digest of the content of an entry that is known; "" of one without
// content.
func (e *Entry) sum() string {
	switch {
	case e.Type != tar.TypeReg:
		return ""
	case e.Size == 0:
		return emptyDigest
	}
	return e.Digest
}

// emptyDigest is the SHA-256 of nothing.
const emptyDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// known tells whether the content of an entry is known without reading it.
func (e *Entry) known() bool { return e.Type != tar.TypeReg || e.Size == 0 || e.Digest != "" }

// begun is a layer that is made from a beginning on.
type begun struct {
	Beginning
	file  io.Reader // the layer's file up to there
	entry int       // the first that is written again, for the window of the encoder
	start int64     // of it in the tar
}

// resume finds the longest beginning that is lent.
func (o *outline) resume(blocks Blocks) *begun {
	for n := len(o.keys); n > 0; n-- {
		b, file := blocks.Beginning(o.keys[n-1])
		if file == nil || b.Raw != int64(n)*o.block {
			continue
		}
		at, exact := slices.BinarySearch(o.starts, max(0, b.Raw-flateWindow))
		if !exact {
			at--
		}
		return &begun{b, file, at, o.starts[at]}
	}
	return nil
}

// first is the entry with which writing begins.
func (b *begun) first() int {
	if b == nil {
		return 0
	}
	return b.entry
}

// after passes on to next what comes after the beginning.
func (b *begun) after(encoder *blockWriter, next io.Writer) io.Writer {
	if b == nil {
		return next
	}
	return &skipping{at: b.start, until: b.Raw, encoder: encoder, next: next}
}

// restore sets a sum to a state after n bytes.
func (s *sum) restore(state []byte, n int64) error {
	s.n = n
	return s.Hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(state)
}

func (s *sum) state() []byte {
	state, _ := s.Hash.(encoding.BinaryMarshaler).MarshalBinary() // SHA-256 never fails
	return state
}

// copyTo writes the file's beginning; what comes out must have the sum that it
// had. A file that cannot be read is as good as a damaged one.
func (b *begun) copyTo(w io.Writer, digest *sum) error {
	n, err := io.Copy(w, io.LimitReader(b.file, b.Size))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBeginning, err)
	}
	if n != b.Size || !bytes.Equal(digest.state(), b.Sum) {
		return ErrBeginning
	}
	return nil
}

// skipping drops what of a tar the layer's file has already, but for what the
// encoder of the first new block is shown.
type skipping struct {
	at, until int64
	window    []byte
	encoder   *blockWriter
	next      io.Writer
}

func (s *skipping) Write(p []byte) (int, error) {
	old := int(min(int64(len(p)), max(0, s.until-s.at)))
	s.at += int64(len(p))
	if old == 0 {
		return s.next.Write(p)
	}
	if s.window = append(s.window, p[:old]...); len(s.window) > 2*flateWindow {
		s.window = append(s.window[:0], s.window[len(s.window)-flateWindow:]...)
	}
	s.encoder.previous = s.window
	n, err := s.next.Write(p[old:])
	return old + n, err
}

// statesSum is a sum that keeps its state at the end of each block.
type statesSum struct {
	*sum
	block  int64
	states [][]byte
}

func (s *statesSum) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n, _ := s.sum.Write(rest[:min(int64(len(rest)), s.block-s.n%s.block)])
		if rest = rest[n:]; s.n%s.block == 0 {
			s.states = append(s.states, s.state())
		}
	}
	return len(p), nil
}
