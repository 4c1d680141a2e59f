package main

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"kiln/bake/template"
	"kiln/registry/promotion"
)

// checkParents refuses to bake on what is revoked: parents of the store that
// the template or its lock names. Channels answer no revoked version at all.
func checkParents(ctx context.Context, job *bakeJob) error {
	if job.backend.ops == nil {
		return nil
	}
	for _, img := range job.images {
		if img.From.Kind != template.FromStore {
			continue
		}
		d := digest.Digest(img.From.Digest)
		if d == "" && job.lock != nil {
			d = digest.Digest(job.lock.Images[img.LockName()].FromDigest)
		}
		if d == "" {
			continue // the bake says what is missing
		}
		if err := checkUsable(ctx, job.backend.ops, img.From.Name, d); err != nil {
			return fmt.Errorf("image %q: from: %w", img.Name, err)
		}
	}
	return nil
}

// checkUsable refuses a version that is revoked, itself or with what it was
// baked on. One that is not there is for others to miss.
func checkUsable(ctx context.Context, ops promotion.Operations, image string, d digest.Digest) error {
	line, err := ops.Ancestry(ctx, promotion.AncestryRequest{Image: image, Digest: d, ParentsOnly: true})
	if promotion.KindOf(err) == promotion.KindNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if line.Revoked {
		return withHint(exitUnverified, fmt.Errorf("%s@%s is revoked: %s: nothing is baked on it", image, d, line.RevokedBecause),
			"name another version (kiln versions "+image+" lists them), or have it restored: kiln restore")
	}
	return nil
}
