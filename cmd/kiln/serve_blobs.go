package main

import (
	"context"

	"github.com/opencontainers/go-digest"

	"kiln/registry"
	"kiln/registry/contentstore"
)

// findBlob finds an image that has a blob, for mounts that do not say from
// where. It sees through guard, the registry as the caller may use it: what he
// may not pull is not found.
func findBlob(content *contentstore.Registry, guard registry.Reader) func(context.Context, digest.Digest) (string, error) {
	return func(ctx context.Context, d digest.Digest) (string, error) {
		return content.FindBlob(ctx, d, func(image string) bool {
			_, err := guard.StatBlob(ctx, image, d)
			return err == nil
		})
	}
}
