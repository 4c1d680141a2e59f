package main

import (
	"context"
	"errors"
	"slices"

	"kiln/registry/promotion"
)

// keyOnDemand answers for an embedded store whose user has no promotion key
// yet. It makes one when a move wants nothing else, and only while the store
// would take any key: one that the trust does not list moves nothing.
type keyOnDemand struct {
	promotion.Operations
	// keyed makes the key and opens the same store with it.
	keyed func(context.Context) (promotion.Operations, error)
}

// Promote implements promotion.Operations.
func (k *keyOnDemand) Promote(ctx context.Context, req promotion.PromoteRequest) (promotion.Promotion, error) {
	return withKey(ctx, k, func() (promotion.Promotion, error) { return k.Operations.Promote(ctx, req) })
}

// Rollback implements promotion.Operations.
func (k *keyOnDemand) Rollback(ctx context.Context, req promotion.RollbackRequest) (promotion.Promotion, error) {
	return withKey(ctx, k, func() (promotion.Promotion, error) { return k.Operations.Rollback(ctx, req) })
}

// Revoke implements promotion.Operations.
func (k *keyOnDemand) Revoke(ctx context.Context, req promotion.RevokeRequest) (promotion.Revocation, error) {
	return withKey(ctx, k, func() (promotion.Revocation, error) { return k.Operations.Revoke(ctx, req) })
}

// Restore implements promotion.Operations.
func (k *keyOnDemand) Restore(ctx context.Context, req promotion.RestoreRequest) (promotion.Restoration, error) {
	return withKey(ctx, k, func() (promotion.Restoration, error) { return k.Operations.Restore(ctx, req) })
}

// Approve implements promotion.Operations.
func (k *keyOnDemand) Approve(ctx context.Context, req promotion.ApproveRequest) (promotion.Approval, error) {
	return withKey(ctx, k, func() (promotion.Approval, error) { return k.Operations.Approve(ctx, req) })
}

// withKey does what wants nothing else than a key again with one.
func withKey[T any](ctx context.Context, k *keyOnDemand, do func() (T, error)) (T, error) {
	out, err := do()
	if !errors.Is(err, promotion.ErrNoSigner) {
		return out, err
	}
	if err := k.make(ctx); err != nil {
		return out, err
	}
	return do()
}

func (k *keyOnDemand) make(ctx context.Context) error {
	t, err := k.Trust(ctx)
	if err != nil {
		return err
	}
	if promoterListed(t) {
		return errNoPromotionKey()
	}
	ops, err := k.keyed(ctx)
	if err != nil {
		return err
	}
	k.Operations = ops
	return nil
}

// promoterListed tells whether a promotion key was ever listed: then no other
// is taken at its first use.
func promoterListed(t promotion.Trust) bool {
	return slices.Contains(t.Closed, promotion.RolePromote) ||
		slices.ContainsFunc(t.Entries, func(e promotion.TrustEntry) bool { return e.Role == promotion.RolePromote })
}

func errNoPromotionKey() error {
	return withHint(exitDenied, errors.New("no promotion key: this store takes those that its trust lists, and a new one would not be among them"),
		"give --promotion-key FILE or KILN_PROMOTION_KEY; kiln trust list shows the keys")
}
