package ociclient

import (
	"context"
	"net/http"
	"net/url"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
)

// DeleteBlob implements registry.Deleter.
func (c *Client) DeleteBlob(ctx context.Context, repo string, d digest.Digest) error {
	if err := checkDigest(repo, d); err != nil {
		return err
	}
	return c.delete(ctx, repo, c.path(repo, "blobs", d.String()), registry.CodeBlobUnknown)
}

// DeleteManifest implements registry.Deleter.
func (c *Client) DeleteManifest(ctx context.Context, repo string, d digest.Digest) error {
	if err := checkDigest(repo, d); err != nil {
		return err
	}
	return c.delete(ctx, repo, c.path(repo, "manifests", d.String()), registry.CodeManifestUnknown)
}

// DeleteTag implements registry.Deleter.
func (c *Client) DeleteTag(ctx context.Context, repo, tag string) error {
	if err := checkTag(repo, tag); err != nil {
		return err
	}
	return c.delete(ctx, repo, c.path(repo, "manifests", tag), registry.CodeManifestUnknown)
}

func (c *Client) delete(ctx context.Context, repo string, u *url.URL, unknown registry.Code) error {
	resp, err := c.do(ctx, call{
		method: http.MethodDelete, url: u, scopes: c.scopes(repo, remove),
		ok: []int{http.StatusAccepted, http.StatusOK, http.StatusNoContent}, unknown: unknown,
	})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
