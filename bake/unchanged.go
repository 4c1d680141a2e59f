package bake

import (
	"encoding/hex"
	"fmt"
	"hash"
	"io"
)

// unchanged is a file that fails at its end if it is not what was hashed when
// the step was planned: a source that changes under a bake is an error, never
// a layer under the wrong key.
type unchanged struct {
	io.ReadCloser
	name string
	hash hash.Hash
	want string
}

func (u *unchanged) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	u.hash.Write(p[:n])
	if err == io.EOF && hex.EncodeToString(u.hash.Sum(nil)) != u.want {
		return n, fmt.Errorf("%s changed while it was read (bake again)", u.name)
	}
	return n, err
}
