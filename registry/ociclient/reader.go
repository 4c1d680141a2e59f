package ociclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// accept is every kind of manifest that we know.
var accept = strings.Join([]string{
	ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex,
	"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json",
}, ", ")

// StatBlob implements registry.Reader.
func (c *Client) StatBlob(ctx context.Context, repo string, d digest.Digest) (ocispec.Descriptor, error) {
	if err := checkDigest(repo, d); err != nil {
		return ocispec.Descriptor{}, err
	}
	resp, err := c.do(ctx, call{
		method: http.MethodHead, url: c.path(repo, "blobs", d.String()), scopes: c.scopes(repo, pull),
		unknown: registry.CodeBlobUnknown,
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer resp.Body.Close()
	if resp.ContentLength < 0 {
		return ocispec.Descriptor{}, fmt.Errorf("%s does not tell the size of blob %s", c.base.Host, d)
	}
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: resp.ContentLength}, nil
}

// Manifest implements registry.Reader. Bytes that do not match are CodeCorrupt.
func (c *Client) Manifest(ctx context.Context, repo string, d digest.Digest) (ocispec.Descriptor, []byte, error) {
	if err := checkDigest(repo, d); err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	desc, content, err := c.manifest(ctx, repo, d.String(), d.Algorithm())
	if err == nil && desc.Digest != d {
		err = registry.Errorf(registry.CodeCorrupt, "%s: manifest has digest %s, not %s", c.base.Host, desc.Digest, d)
	}
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	return desc, content, nil
}

// manifest reads what a tag or a digest names, and hashes it.
func (c *Client) manifest(ctx context.Context, repo, reference string, alg digest.Algorithm) (ocispec.Descriptor, []byte, error) {
	resp, err := c.do(ctx, c.manifestCall(http.MethodGet, repo, reference))
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, registry.MaxManifestSize+1))
	if err != nil {
		return ocispec.Descriptor{}, nil, fmt.Errorf("read manifest %s of %s: %w", reference, repo, err)
	}
	if len(content) > registry.MaxManifestSize {
		return ocispec.Descriptor{}, nil, registry.Errorf(registry.CodeManifestInvalid, "manifest %s of %s has more than %d bytes", reference, repo, registry.MaxManifestSize)
	}
	return ocispec.Descriptor{MediaType: mediaType(resp, content), Digest: alg.FromBytes(content), Size: int64(len(content))}, content, nil
}

func (c *Client) manifestCall(method, repo, reference string) call {
	return call{
		method: method, url: c.path(repo, "manifests", reference), scopes: c.scopes(repo, pull),
		header: map[string]string{"Accept": accept}, unknown: registry.CodeManifestUnknown,
	}
}

// mediaType believes the manifest, which has a digest, before the header.
func mediaType(resp *http.Response, content []byte) string {
	if inside := mediaTypeOf(content); inside != "" {
		return inside
	}
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

func mediaTypeOf(content []byte) string {
	var m struct {
		MediaType string `json:"mediaType"`
	}
	if json.Unmarshal(content, &m) != nil {
		return ""
	}
	return m.MediaType
}

// Tag implements registry.Reader. The digest is what the registry says; a
// registry that does not is asked for the manifest.
func (c *Client) Tag(ctx context.Context, repo, tag string) (ocispec.Descriptor, error) {
	if err := checkTag(repo, tag); err != nil {
		return ocispec.Descriptor{}, err
	}
	resp, err := c.do(ctx, c.manifestCall(http.MethodHead, repo, tag))
	if err == nil {
		resp.Body.Close()
		desc := ocispec.Descriptor{
			MediaType: mediaType(resp, nil), Size: resp.ContentLength,
			Digest: digest.Digest(resp.Header.Get("Docker-Content-Digest")),
		}
		if desc.MediaType != "" && desc.Size > 0 && registry.CheckDigest(desc.Digest) == nil {
			return desc, nil
		}
	} else if !errors.Is(err, registry.CodeUnsupported) {
		return ocispec.Descriptor{}, err
	}
	desc, _, err := c.manifest(ctx, repo, tag, digest.SHA256)
	return desc, err
}

// scopes are what a token must allow.
func (c *Client) scopes(repo, actions string) []string {
	return []string{"repository:" + c.remoteName(repo) + ":" + actions}
}

func checkDigest(repo string, d digest.Digest) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	return registry.CheckDigest(d)
}

func checkTag(repo, tag string) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	return registry.CheckTag(tag)
}
