package ociclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// upload is a registry.Upload at the location that the registry gave.
type upload struct {
	c        *Client
	repo     string
	location *url.URL
	size     int64
}

// uploadOffset tells the bytes of an upload, and where a chunk starts; kiln's
// server knows it.
const uploadOffset = "Upload-Offset"

// StartUpload implements registry.Writer.
func (c *Client) StartUpload(ctx context.Context, repo string) (registry.Upload, error) {
	u, err := c.startUpload(ctx, repo)
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (c *Client) startUpload(ctx context.Context, repo string) (*upload, error) {
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	resp, err := c.do(ctx, call{
		method: http.MethodPost, url: c.path(repo, "blobs", "uploads", ""), scopes: c.scopes(repo, push),
		ok: []int{http.StatusAccepted}, unknown: registry.CodeNameUnknown,
	})
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	return c.uploadOf(repo, resp)
}

// uploadOf reads where an upload goes on. Another host is refused: it would be
// sent the content.
func (c *Client) uploadOf(repo string, resp *http.Response) (*upload, error) {
	header := resp.Header.Get("Location")
	location, err := url.Parse(header)
	if err != nil || header == "" {
		return nil, registry.Errorf(registry.CodeBlobUploadInvalid, "%s does not tell where the upload goes on", c.base.Host)
	}
	location = resp.Request.URL.ResolveReference(location)
	if location.Scheme != c.base.Scheme || hostPort(location) != hostPort(c.base) {
		return nil, registry.Errorf(registry.CodeBlobUploadInvalid, "%s wants the upload sent to another host, %s://%s: refused", c.base.Host, location.Scheme, location.Host)
	}
	return &upload{c: c, repo: repo, location: location}, nil
}

var uploadIDRE = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9._~=-]{1,256}$`) })

// ID is the upload's name where its location is of the usual form, and
// otherwise the location without the host.
func (u *upload) ID() string {
	id, ok := strings.CutPrefix(u.location.RequestURI(), u.c.path(u.repo, "blobs", "uploads", "").Path)
	if ok && uploadIDRE().MatchString(id) {
		return id
	}
	return u.location.RequestURI()
}

// ResumeUpload implements registry.Writer.
func (c *Client) ResumeUpload(ctx context.Context, repo, id string) (registry.Upload, error) {
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	unknown := registry.Errorf(registry.CodeUploadUnknown, "image %s has no such upload", repo)
	u := &upload{c: c, repo: repo, location: c.path(repo, "blobs", "uploads", id)}
	if !uploadIDRE().MatchString(id) {
		ref, err := url.Parse(id)
		if err != nil || ref.Host != "" || ref.Scheme != "" || !strings.HasPrefix(id, "/") {
			return nil, unknown
		}
		u.location = c.base.ResolveReference(ref)
	}
	resp, err := c.do(ctx, call{
		method: http.MethodGet, url: u.location, scopes: c.scopes(repo, push),
		ok: []int{http.StatusNoContent, http.StatusOK, http.StatusAccepted}, unknown: registry.CodeUploadUnknown,
	})
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	if err := u.moved(resp); err != nil {
		return nil, err
	}
	u.size, _ = received(resp.Header)
	return u, nil
}

// moved follows the location that an answer gives.
func (u *upload) moved(resp *http.Response) error {
	if resp.Header.Get("Location") == "" {
		return nil
	}
	next, err := u.c.uploadOf(u.repo, resp)
	if err != nil {
		return err
	}
	u.location = next.location
	return nil
}

// received reads how many bytes the registry has. A range of 0-0 is of none or
// of one; without the better header it is taken as none.
func received(h http.Header) (n int64, ok bool) {
	if n, err := strconv.ParseInt(h.Get(uploadOffset), 10, 64); err == nil && n >= 0 {
		return n, true
	}
	_, last, _ := strings.Cut(h.Get("Range"), "-")
	n, err := strconv.ParseInt(last, 10, 64)
	if err != nil || n <= 0 {
		return 0, false
	}
	return n + 1, true
}

func (u *upload) Size() int64 { return u.size }

// Append implements registry.Upload.
func (u *upload) Append(ctx context.Context, offset int64, r io.Reader) error {
	if offset != u.size {
		return registry.Errorf(registry.CodeRangeInvalid, "chunk starts at %d, the upload has %d bytes", offset, u.size)
	}
	counted := &counter{r: r}
	q := u.call(http.MethodPatch, u.location)
	q.header = map[string]string{"Content-Type": "application/octet-stream", uploadOffset: strconv.FormatInt(offset, 10)}
	q.body, q.length, q.once = func() (io.Reader, error) { return counted, nil }, -1, true
	q.ok = []int{http.StatusAccepted, http.StatusNoContent, http.StatusCreated}
	if l, ok := r.(interface{ Len() int }); ok {
		if q.length = int64(l.Len()); q.length == 0 {
			return nil
		}
		q.header["Content-Range"] = fmt.Sprintf("%d-%d", offset, offset+q.length-1)
	}
	resp, err := u.c.do(ctx, q)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if n, ok := received(resp.Header); ok && n != offset+counted.n {
		return registry.Errorf(registry.CodeBlobUploadInvalid, "%s has %d bytes of the upload, %d were sent", u.c.base.Host, n, offset+counted.n)
	}
	u.size += counted.n
	return u.moved(resp)
}

// counter counts what passes.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// exactly is a reader of left bytes. It looks behind them before it gives the
// last away: a blob of another size than announced does not arrive whole.
type exactly struct {
	r    io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if err == io.EOF && e.left > 0 {
		return n, registry.Errorf(registry.CodeSizeInvalid, "content ends %d bytes before the size announced", e.left)
	}
	if err == nil && e.left == 0 {
		if _, err = io.ReadFull(e.r, make([]byte, 1)); err == nil {
			return 0, registry.Errorf(registry.CodeSizeInvalid, "content has more bytes than announced")
		}
	}
	return n, err
}

func (u *upload) call(method string, at *url.URL) call {
	return call{method: method, url: at, scopes: u.c.scopes(u.repo, push), unknown: registry.CodeUploadUnknown}
}

// Commit implements registry.Upload. Where the answer is lost, it looks
// whether the blob is there.
func (u *upload) Commit(ctx context.Context, d digest.Digest) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: u.size}
	if err := registry.CheckDigest(d); err != nil {
		return ocispec.Descriptor{}, err
	}
	err := u.finish(ctx, ocispec.Descriptor{Digest: d, Size: 0}, strings.NewReader(""))
	if err != nil && ctx.Err() == nil && temporary(err) {
		if have, statErr := u.c.StatBlob(ctx, u.repo, d); statErr == nil && have.Size == u.size {
			return desc, nil
		}
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return desc, nil
}

// finish makes a blob of the upload, with the last desc.Size bytes from r.
func (u *upload) finish(ctx context.Context, desc ocispec.Descriptor, r io.Reader) error {
	at := *u.location
	if at.RawQuery != "" {
		at.RawQuery += "&"
	}
	at.RawQuery += "digest=" + url.QueryEscape(desc.Digest.String())
	q := u.call(http.MethodPut, &at)
	q.header = map[string]string{"Content-Type": "application/octet-stream"}
	q.body, q.length, q.once = func() (io.Reader, error) { return &exactly{r, desc.Size}, nil }, desc.Size, true
	q.ok = []int{http.StatusCreated, http.StatusNoContent, http.StatusOK}
	resp, err := u.c.do(ctx, q)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Cancel implements registry.Upload.
func (u *upload) Cancel(ctx context.Context) error {
	q := u.call(http.MethodDelete, u.location)
	q.ok = []int{http.StatusNoContent, http.StatusAccepted, http.StatusOK}
	resp, err := u.c.do(ctx, q)
	if err != nil {
		if errors.Is(err, registry.CodeUnsupported) {
			return nil // it expires
		}
		return err
	}
	return resp.Body.Close()
}
