package contentstore

import (
	"hash"
	"io"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// verifier passes bytes through and, at their end, returns an error of the
// given code instead of io.EOF when they are not those of the digest. A store
// keeps nothing of a reader that failed.
type verifier struct {
	r    io.Reader
	want digest.Digest
	size int64 // -1 if unknown
	code registry.Code
	hash hash.Hash
	n    int64
	err  error
}

func newVerifier(r io.Reader, want digest.Digest, size int64, code registry.Code) *verifier {
	return &verifier{r: r, want: want, size: size, code: code, hash: want.Algorithm().Hash()}
}

var _ store.Inspected = (*verifier)(nil)

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.r.Read(p)
	if v.Inspect(p[:n]) == nil && err != nil {
		_ = v.Finish(err)
	}
	return n, v.err
}

// Source implements store.Inspected.
func (v *verifier) Source() io.Reader { return v.r }

// Inspect implements store.Inspected.
func (v *verifier) Inspect(p []byte) error {
	v.hash.Write(p)
	v.n += int64(len(p))
	if v.size >= 0 && v.n > v.size {
		v.err = registry.Errorf(registry.CodeSizeInvalid, "blob %s has more than the %d bytes announced", v.want, v.size)
	}
	return v.err
}

// Finish implements store.Inspected.
func (v *verifier) Finish(err error) error {
	if err == io.EOF {
		err = v.check()
	}
	v.err = err
	return err
}

func (v *verifier) check() error {
	if v.size >= 0 && v.n != v.size {
		return registry.Errorf(registry.CodeSizeInvalid, "blob %s has %d bytes, not the %d announced", v.want, v.n, v.size)
	}
	if got := digest.NewDigest(v.want.Algorithm(), v.hash); got != v.want {
		return registry.Errorf(v.code, "content has digest %s, not %s", got, v.want)
	}
	return io.EOF
}

// drain reads what a store left unread, so that whoever pushes a blob that is
// there already has shown to have it.
func (v *verifier) drain() error {
	_, err := io.Copy(io.Discard, v)
	return err
}
