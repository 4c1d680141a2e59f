package contentstore

import (
	"hash"
	"io"

	"kiln/registry"

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

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	v.n += int64(n)
	switch {
	case v.size >= 0 && v.n > v.size:
		v.err = registry.Errorf(registry.CodeSizeInvalid, "blob %s has more than the %d bytes announced", v.want, v.size)
	case err == io.EOF:
		v.err = v.check()
	default:
		v.err = err
	}
	return n, v.err
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
