package s3store

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A pointer's object is a line of headLength bytes,
//
//	kiln-pointer/1 SHA256-OF-THE-VALUE NONCE,NONCE,…<spaces>\n
//
// and the value. A tombstone is "kiln-tombstone/1 NONCE,NONCE,…\n": shorter
// than any pointer, so that a listing tells them apart by their sizes.
const (
	pointerMagic   = "kiln-pointer/1"
	tombstoneMagic = "kiln-tombstone/1"
	headLength     = 384 // bytes
	// history is how many swaps a pointer remembers, its own among them.
	history     = 16
	nonceLength = 16
)

// record is what the object of a pointer holds.
type record struct {
	nonces    []string // of its last swaps, the newest first
	value     []byte
	tombstone bool
}

var errDamaged = errors.New("pointer is damaged; restore it from a backup")

// newNonce is one that no other swap has.
func newNonce() string {
	b := make([]byte, nonceLength/4*3)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// follow is a history with one more swap.
func follow(nonce string, nonces []string) []string {
	next := append([]string{nonce}, nonces...)
	return next[:min(len(next), history)]
}

func (r record) encode() []byte {
	nonces := strings.Join(r.nonces, ",")
	if r.tombstone {
		return []byte(tombstoneMagic + " " + nonces + "\n")
	}
	head := fmt.Sprintf("%s %x %s", pointerMagic, sha256.Sum256(r.value), nonces)
	out := make([]byte, 0, headLength+len(r.value))
	out = fmt.Appendf(out, "%-*s\n", headLength-1, head)
	return append(out, r.value...)
}

func decodeRecord(data []byte) (record, error) {
	if rest, ok := strings.CutPrefix(string(data[:min(len(data), headLength)]), tombstoneMagic+" "); ok {
		nonces, ok := strings.CutSuffix(rest, "\n")
		r := record{nonces: strings.Split(nonces, ","), tombstone: true}
		if !ok || len(data) >= headLength || !r.wellFormed() {
			return record{}, errDamaged
		}
		return r, nil
	}
	if len(data) < headLength || data[headLength-1] != '\n' {
		return record{}, errDamaged
	}
	fields := strings.Fields(string(data[:headLength]))
	if len(fields) != 3 || fields[0] != pointerMagic {
		return record{}, errDamaged
	}
	r := record{nonces: strings.Split(fields[2], ","), value: bytes.Clone(data[headLength:])}
	if fmt.Sprintf("%x", sha256.Sum256(r.value)) != fields[1] {
		return record{}, fmt.Errorf("value does not match its hash: %w", errDamaged)
	}
	if !r.wellFormed() {
		return record{}, errDamaged
	}
	return r, nil
}

func (r record) wellFormed() bool {
	for _, n := range r.nonces {
		if len(n) != nonceLength || strings.Trim(n, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return len(r.nonces) > 0 && len(r.nonces) <= history
}

// revision is what a swap must know of the pointer that it replaces.
type revision struct {
	etag   string
	nonces []string // as in record; none where the pointer is absent
}

// passed stands for the ETag of a swap that others came after.
const passed = "-"

func (r revision) String() string { return r.etag + " " + strings.Join(r.nonces, ",") }

// parseRevision reads a Pointer's revision; false for what no pointer ever had.
func parseRevision(s string) (revision, bool) {
	etag, nonces, ok := strings.Cut(s, " ")
	r := revision{etag, strings.Split(nonces, ",")}
	return r, ok && etag != "" && !strings.ContainsAny(etag, "\"*\r\n") && record{nonces: r.nonces}.wellFormed()
}

// fate is what became of a swap whose answer is not known.
type fate int

const (
	pending   fate = iota // not done, and nothing else either: send it again
	succeeded             // done, perhaps with others after it
	lost                  // another was done instead
	doubtful              // so much was done since that nobody can tell
)

// settle compares what the pointer is now with a swap of ours from one
// revision. now has no nonces where the pointer is absent.
func settle(from revision, nonce string, now record) fate {
	if slices.Contains(now.nonces, nonce) {
		return succeeded
	}
	if len(from.nonces) == 0 { // a creation
		switch {
		case len(now.nonces) == 0:
			return pending
		case len(now.nonces) < history: // all its swaps are there, not ours
			return lost
		}
		return doubtful
	}
	switch at := slices.Index(now.nonces, from.nonces[0]); {
	case at == 0:
		return pending
	case at > 0, len(now.nonces) == 0, len(now.nonces) < history: // gone, or another's
		return lost
	}
	return doubtful
}
