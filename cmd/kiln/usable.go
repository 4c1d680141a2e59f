package main

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"kiln/bake"
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

// checkBaked refuses to call good what is revoked: the same recipe makes the
// same digest, and what was baked on it inherits. Who may not ask learns of it
// where it is resolved or promoted.
func checkBaked(ctx context.Context, ops promotion.Operations, baked []bake.Baked) error {
	if ops == nil {
		return nil
	}
	for _, b := range baked {
		line, err := ops.Ancestry(ctx, promotion.AncestryRequest{Image: b.Name, Digest: b.Digest, ParentsOnly: true})
		if kind := promotion.KindOf(err); kind == promotion.KindNotFound || kind == promotion.KindDenied {
			continue
		}
		if err != nil {
			return err
		}
		if line.Revoked {
			return withHint(exitUnverified, fmt.Errorf("what this recipe makes, %s@%s, is revoked: %s", b.Name, b.Digest, line.RevokedBecause),
				"make another version: kiln lock --update takes newer packages, or change the recipe; or have it restored: kiln restore")
		}
	}
	return nil
}
