package ociclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// PushBlob implements registry.Writer. A blob that repo has is not read. A
// reader that can seek is read again when an upload broke off.
func (c *Client) PushBlob(ctx context.Context, repo string, desc ocispec.Descriptor, r io.Reader) error {
	if err := checkDigest(repo, desc.Digest); err != nil {
		return err
	}
	switch have, err := c.StatBlob(ctx, repo, desc.Digest); {
	case err == nil && desc.Size >= 0 && have.Size != desc.Size:
		return registry.Errorf(registry.CodeSizeInvalid, "blob %s has %d bytes, not the %d announced", desc.Digest, have.Size, desc.Size)
	case err == nil:
		return nil
	case !errors.Is(err, registry.CodeBlobUnknown) && !errors.Is(err, registry.CodeNameUnknown):
		return err
	}
	seeker, ok := r.(io.Seeker)
	start := int64(0)
	if ok {
		var err error
		if start, err = seeker.Seek(0, io.SeekCurrent); err != nil {
			ok = false // a pipe, say
		}
	}
	for n := 1; ; n++ {
		err := c.pushBlob(ctx, repo, desc, r)
		if err == nil || !ok || n == maxAttempts || ctx.Err() != nil || !temporary(err) {
			return err
		}
		if err := sleep(ctx, c.wait<<(n-1)); err != nil {
			return err
		}
		if _, err := seeker.Seek(start, io.SeekStart); err != nil {
			return err
		}
	}
}

// pushBlob uploads a blob in one request where its size is known, and as a
// stream otherwise.
func (c *Client) pushBlob(ctx context.Context, repo string, desc ocispec.Descriptor, r io.Reader) error {
	u, err := c.startUpload(ctx, repo)
	if err != nil {
		return err
	}
	if desc.Size < 0 {
		if err = u.Append(ctx, 0, struct{ io.Reader }{r}); err == nil {
			_, err = u.Commit(ctx, desc.Digest)
		}
	} else {
		err = u.finish(ctx, desc, r)
	}
	if err != nil {
		// The registry forgets it in time where this does not work.
		_ = u.Cancel(context.WithoutCancel(ctx))
	}
	return err
}

// MountBlob implements registry.Writer.
func (c *Client) MountBlob(ctx context.Context, from, repo string, d digest.Digest) (ocispec.Descriptor, error) {
	if err := registry.CheckName(from); err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := checkDigest(repo, d); err != nil {
		return ocispec.Descriptor{}, err
	}
	u := c.path(repo, "blobs", "uploads", "")
	u.RawQuery = url.Values{"mount": {d.String()}, "from": {c.remoteName(from)}}.Encode()
	resp, err := c.do(ctx, call{
		method: http.MethodPost, url: u, scopes: append(c.scopes(repo, push), c.scopes(from, pull)...),
		ok: []int{http.StatusCreated, http.StatusAccepted}, unknown: registry.CodeBlobUnknown,
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusAccepted { // it wants the bytes
		if up, err := c.uploadOf(repo, resp); err == nil {
			_ = up.Cancel(ctx)
		}
		return ocispec.Descriptor{}, registry.Errorf(registry.CodeBlobUnknown, "image %s has no blob %s to mount", from, d)
	}
	return c.StatBlob(ctx, repo, d)
}

// PushManifest implements registry.Writer. Where a registry cannot set several
// tags at once, they are set one after another.
func (c *Client) PushManifest(ctx context.Context, repo string, m registry.Manifest) (ocispec.Descriptor, error) {
	desc, err := describe(repo, m)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	u := c.path(repo, "manifests", desc.Digest.String())
	single := len(m.Tags) == 1 && desc.Digest.Algorithm() == digest.SHA256
	if single {
		u = c.path(repo, "manifests", m.Tags[0])
	} else if len(m.Tags) > 0 {
		u.RawQuery = url.Values{"tag": m.Tags}.Encode()
	}
	header, err := c.putManifest(ctx, repo, u, desc, m.Content)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	set := strings.FieldsFunc(strings.Join(header.Values("OCI-Tag"), ","), func(r rune) bool { return r == ',' || r == ' ' })
	for _, tag := range m.Tags {
		if single || slices.Contains(set, tag) {
			continue
		}
		if _, err := c.putManifest(ctx, repo, c.path(repo, "manifests", tag), desc, m.Content); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	if header.Get("OCI-Subject") == "" {
		err = c.addReferrer(ctx, repo, desc, m.Content)
	}
	return desc, err
}

// describe checks what is to be pushed, and describes it.
func describe(repo string, m registry.Manifest) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Content))}
	if desc.Digest == "" {
		desc.Digest = digest.FromBytes(m.Content)
	}
	if err := checkDigest(repo, desc.Digest); err != nil {
		return desc, err
	}
	for _, tag := range m.Tags {
		if err := registry.CheckTag(tag); err != nil {
			return desc, err
		}
	}
	if desc.Size > registry.MaxManifestSize {
		return desc, registry.Errorf(registry.CodeManifestInvalid, "manifest has %d bytes, at most %d", desc.Size, registry.MaxManifestSize)
	}
	if got := desc.Digest.Algorithm().FromBytes(m.Content); got != desc.Digest {
		return desc, registry.Errorf(registry.CodeDigestInvalid, "manifest has digest %s, not %s", got, desc.Digest)
	}
	if desc.MediaType == "" {
		desc.MediaType = mediaTypeOf(m.Content)
	}
	return desc, nil
}

func (c *Client) putManifest(ctx context.Context, repo string, u *url.URL, desc ocispec.Descriptor, content []byte) (http.Header, error) {
	resp, err := c.do(ctx, call{
		method: http.MethodPut, url: u, scopes: c.scopes(repo, push),
		header: map[string]string{"Content-Type": desc.MediaType},
		body:   func() (io.Reader, error) { return bytes.NewReader(content), nil }, length: desc.Size,
		ok: []int{http.StatusCreated, http.StatusOK, http.StatusAccepted}, unknown: registry.CodeNameUnknown,
	})
	if errors.Is(err, registry.CodeBlobUnknown) || errors.Is(err, registry.CodeManifestUnknown) {
		return nil, registry.Errorf(registry.CodeManifestBlobUnknown, "%w", err)
	}
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	if got := resp.Header.Get("Docker-Content-Digest"); got != "" && got != desc.Digest.String() {
		return nil, fmt.Errorf("%s stored manifest %s as %s", c.base.Host, desc.Digest, printable(got))
	}
	return resp.Header, nil
}

// subjectOf reads what a referrer's manifest says of itself.
func subjectOf(content []byte) (m struct {
	Subject      *ocispec.Descriptor `json:"subject"`
	ArtifactType string              `json:"artifactType"`
	Config       ocispec.Descriptor  `json:"config"`
	Annotations  map[string]string   `json:"annotations"`
}) {
	_ = json.Unmarshal(content, &m) // the registry has taken it
	return m
}
