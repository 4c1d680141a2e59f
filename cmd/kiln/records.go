package main

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"

	"kiln/bake"
	"kiln/registry/promotion"
	"kiln/sign"
)

// records reads how versions in the store were made. With a signer only what
// it, or a key that the store's trust lists for baking the image, has signed is
// believed; without one, what the store has. nil without a store.
func (b *backend) records(signer *sign.Signer) *bake.Records {
	if b.registry == nil {
		return nil
	}
	r := &bake.Records{Registry: b.registry, Newest: b.newest}
	if signer != nil {
		trust := sync.OnceValues(func() (promotion.Trust, error) { return b.ops.Trust(context.Background()) })
		r.Bakers = func(_ context.Context, image string) (*sign.Verifier, error) {
			t, err := trust()
			if err != nil {
				return nil, err
			}
			return bakersOf(t, image, signer.Principal())
		}
	}
	return r
}

// newest lists the newest versions of an image that are not revoked; none for
// an image that the store does not have.
func (b *backend) newest(ctx context.Context, image string, limit int) ([]digest.Digest, error) {
	list, err := b.ops.Versions(ctx, promotion.VersionsRequest{Image: image, Limit: limit})
	if promotion.KindOf(err) == promotion.KindNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var digests []digest.Digest
	for _, v := range list.Versions {
		if !v.Revoked {
			digests = append(digests, v.Digest)
		}
	}
	return digests, nil
}
