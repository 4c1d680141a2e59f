package backup

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"
)

// verifiedReader ends in ErrDamaged instead of io.EOF where the bytes are not
// those of the digest, or not as many as announced.
type verifiedReader struct {
	r    io.Reader
	want digest.Digest
	size int64
	hash hash.Hash
	n    int64
}

func newVerifiedReader(r io.Reader, want digest.Digest, size int64) *verifiedReader {
	return &verifiedReader{r: r, want: want, size: size, hash: want.Algorithm().Hash()}
}

func (v *verifiedReader) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	v.n += int64(n)
	if err == io.EOF && !v.whole() {
		err = fmt.Errorf("blob %s is not what its digest says: %w", v.want, ErrDamaged)
	}
	return n, err
}

func (v *verifiedReader) whole() bool {
	return v.n == v.size && digest.NewDigest(v.want.Algorithm(), v.hash) == v.want
}

func isDamage(err error) bool { return errors.Is(err, ErrDamaged) }

// zeros fills the room of a blob that is shorter than announced.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// readFunc is a Read without a type of its own.
type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// until reads r as long as ctx has not ended.
func until(ctx context.Context, r io.Reader) io.Reader {
	return readFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}
