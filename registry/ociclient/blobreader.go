package ociclient

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
)

// OpenBlob implements registry.Reader. A blob that is read from its start to
// its end is hashed on the way.
func (c *Client) OpenBlob(ctx context.Context, repo string, d digest.Digest, offset, length int64) (io.ReadCloser, error) {
	if err := checkDigest(repo, d); err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, registry.Errorf(registry.CodeRangeInvalid, "offset %d is before the blob", offset)
	}
	if length == 0 {
		return c.openNothing(ctx, repo, d, offset)
	}
	b := &blobReader{c: c, repo: repo, digest: d, offset: offset, left: length}
	b.again = func(err error) error { return b.reopen(ctx, err) }
	if offset == 0 {
		b.hash = d.Algorithm().Hash()
	}
	if err := b.open(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// openNothing is of no bytes, for which HTTP has no range.
func (c *Client) openNothing(ctx context.Context, repo string, d digest.Digest, offset int64) (io.ReadCloser, error) {
	desc, err := c.StatBlob(ctx, repo, d)
	if err == nil && offset > desc.Size {
		err = registry.Errorf(registry.CodeRangeInvalid, "offset %d is outside blob %s of %d bytes", offset, d, desc.Size)
	}
	if err != nil {
		return nil, err
	}
	return io.NopCloser(strings.NewReader("")), nil
}

// blobReader reads a blob, and goes on where a connection broke.
type blobReader struct {
	c      *Client
	repo   string
	digest digest.Digest
	offset int64     // of the next byte
	left   int64     // bytes to go; negative: to the end
	size   int64     // of the blob; -1 if unknown
	hash   hash.Hash // nil if the start is not read
	body   io.ReadCloser
	broken int // connections, since a byte came
	again  func(error) error
	err    error
}

// open asks for what is left.
func (b *blobReader) open(ctx context.Context) error {
	q := call{
		method: http.MethodGet, url: b.c.path(b.repo, "blobs", b.digest.String()), scopes: b.c.scopes(b.repo, pull),
		ok:      []int{http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable},
		unknown: registry.CodeBlobUnknown,
	}
	switch {
	case b.left > 0:
		q.header = map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", b.offset, b.offset+b.left-1)}
	case b.offset > 0:
		q.header = map[string]string{"Range": fmt.Sprintf("bytes=%d-", b.offset)}
	}
	resp, err := b.c.do(ctx, q)
	if err != nil {
		return err
	}
	b.body = resp.Body
	switch resp.StatusCode {
	case http.StatusPartialContent:
		err = b.partial(resp)
	case http.StatusRequestedRangeNotSatisfiable:
		err = b.behind(resp)
	default:
		err = b.whole(resp)
	}
	if err != nil {
		resp.Body.Close()
	}
	return err
}

func (b *blobReader) partial(resp *http.Response) error {
	var first, last int64
	var size string
	_, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%s", &first, &last, &size)
	if err != nil || first != b.offset || last < first {
		return fmt.Errorf("%s sends another range of blob %s than was asked for", b.c.base.Host, b.digest)
	}
	b.size = -1
	if _, err := fmt.Sscan(size, &b.size); err != nil {
		b.size = -1
	}
	return nil
}

// behind is the answer to a range that has no bytes: that is right at the end.
func (b *blobReader) behind(resp *http.Response) error {
	size := int64(-1)
	_, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes */%d", &size)
	if err != nil || size != b.offset {
		return registry.Errorf(registry.CodeRangeInvalid, "offset %d is outside blob %s", b.offset, b.digest)
	}
	resp.Body.Close()
	b.body, b.size = io.NopCloser(strings.NewReader("")), size
	return nil
}

// whole skips what was not asked for: not every registry knows ranges.
func (b *blobReader) whole(resp *http.Response) error {
	b.size = resp.ContentLength
	n, err := io.CopyN(io.Discard, resp.Body, b.offset)
	if err == io.EOF && n < b.offset {
		return registry.Errorf(registry.CodeRangeInvalid, "offset %d is outside blob %s of %d bytes", b.offset, b.digest, n)
	}
	return err
}

func (b *blobReader) Read(p []byte) (int, error) {
	for b.err == nil {
		if b.left == 0 {
			b.err = b.end()
			break
		}
		if b.left > 0 && int64(len(p)) > b.left {
			p = p[:b.left]
		}
		n, err := b.body.Read(p)
		b.take(p[:n])
		switch {
		case err == io.EOF && (b.size < 0 || b.offset >= b.size):
			b.err = b.end()
		case err != nil:
			b.err = b.again(err)
		}
		if n > 0 {
			return n, nil
		}
		if len(p) == 0 {
			break
		}
	}
	return 0, b.err
}

func (b *blobReader) take(p []byte) {
	if len(p) == 0 {
		return
	}
	b.broken = 0
	b.offset += int64(len(p))
	if b.left > 0 {
		b.left -= int64(len(p))
	}
	if b.hash != nil {
		b.hash.Write(p)
	}
}

// reopen opens the blob anew behind what was read.
func (b *blobReader) reopen(ctx context.Context, err error) error {
	b.broken++
	if b.broken == maxAttempts || ctx.Err() != nil || errors.Is(err, errRefused) {
		return fmt.Errorf("read blob %s: %w", b.digest, err)
	}
	b.body.Close()
	if b.left == 0 {
		return nil
	}
	if err := sleep(ctx, b.c.wait<<(b.broken-1)); err != nil {
		return err
	}
	return b.open(ctx)
}

// end checks the bytes where all were read.
func (b *blobReader) end() error {
	whole := b.size < 0 && b.left < 0 || b.offset == b.size
	if b.hash == nil || !whole {
		return io.EOF
	}
	if got := digest.NewDigest(b.digest.Algorithm(), b.hash); got != b.digest {
		return registry.Errorf(registry.CodeCorrupt, "%s: blob has digest %s, not %s", b.c.base.Host, got, b.digest)
	}
	return io.EOF
}

// Close implements io.Closer.
func (b *blobReader) Close() error {
	if b.err == nil {
		b.err = errors.New("blob is closed")
	}
	return b.body.Close()
}
