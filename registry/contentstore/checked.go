package contentstore

import (
	"io"
	"sync"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// checked are the blobs that this process has read whole and found right, by
// what their bytes were identified by at that time. As long as that is the
// same they are sent as they lie there. What a disk does to them by itself
// meanwhile is for the scrub to find.
type checked struct {
	mu sync.Mutex
	by map[digest.Digest]any
}

// maxChecked bounds the memory; forgetting costs a hash.
const maxChecked = 1 << 15

func (c *checked) holds(d digest.Digest, identity any) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return identity != nil && c.by[d] == identity
}

func (c *checked) add(d digest.Digest, identity any) {
	if identity == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil || len(c.by) >= maxChecked {
		c.by = map[digest.Digest]any{}
	}
	c.by[d] = identity
}

// checkedBlob is the way to send a blob, or a part of it, that was checked.
type checkedBlob struct{ store.Identified }

var _ registry.CheckedBlob = checkedBlob{}

// Checked implements registry.CheckedBlob.
func (checkedBlob) Checked() {}

// checkingBlob hashes a blob that is read whole, and remembers that it is right.
type checkingBlob struct {
	v *verifier
	io.Closer
	right func()
}

func (b *checkingBlob) Read(p []byte) (int, error) {
	n, err := b.v.Read(p)
	if err == io.EOF && b.right != nil {
		b.right()
		b.right = nil
	}
	return n, err
}

// plainBlob is a part of a blob that was never checked.
type plainBlob struct{ io.ReadCloser }

// blobReader says how rc, which reads d or a part of it, is to be read.
func (r *Registry) blobReader(rc io.ReadCloser, d digest.Digest, whole bool) io.ReadCloser {
	in, ok := rc.(store.Identified)
	var identity any
	if ok {
		identity = in.Identity()
	}
	switch {
	case r.checked.holds(d, identity):
		return checkedBlob{in}
	case !whole:
		return plainBlob{rc}
	}
	return &checkingBlob{
		v: newVerifier(rc, d, -1, registry.CodeCorrupt), Closer: rc,
		right: func() { r.checked.add(d, identity) },
	}
}
