package registry

import (
	"context"
	"errors"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TagFollower is what a Reader may be besides: one that reads the manifest of
// a tag in fewer steps than Tag and Manifest take. Who wraps a Reader passes
// it on, or has its Tag and Manifest called.
type TagFollower interface {
	// ManifestByTag is Tag and then Manifest, with their errors.
	ManifestByTag(ctx context.Context, repo, tag string) (ocispec.Descriptor, []byte, error)
}

// ManifestByTag reads what a tag names, in the way that r has. A tag that moves
// while its old manifest is deleted is followed again.
func ManifestByTag(ctx context.Context, r Reader, repo, tag string) (ocispec.Descriptor, []byte, error) {
	if f, ok := r.(TagFollower); ok {
		return f.ManifestByTag(ctx, repo, tag)
	}
	for again := false; ; again = true {
		desc, err := r.Tag(ctx, repo, tag)
		if err != nil {
			return ocispec.Descriptor{}, nil, err
		}
		desc, content, err := r.Manifest(ctx, repo, desc.Digest)
		if again || !errors.Is(err, CodeManifestUnknown) {
			return desc, content, err
		}
	}
}
