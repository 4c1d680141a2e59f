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
	keyed func() (promotion.Operations, error)
}

// Promote implements promotion.Operations.
func (k *keyOnDemand) Promote(ctx context.Context, req promotion.PromoteRequest) (promotion.Promotion, error) {
	p, err := k.Operations.Promote(ctx, req)
	if !errors.Is(err, promotion.ErrNoSigner) {
		return p, err
	}
	if err := k.make(ctx); err != nil {
		return promotion.Promotion{}, err
	}
	return k.Operations.Promote(ctx, req)
}

// Rollback implements promotion.Operations.
func (k *keyOnDemand) Rollback(ctx context.Context, req promotion.RollbackRequest) (promotion.Promotion, error) {
	p, err := k.Operations.Rollback(ctx, req)
	if !errors.Is(err, promotion.ErrNoSigner) {
		return p, err
	}
	if err := k.make(ctx); err != nil {
		return promotion.Promotion{}, err
	}
	return k.Operations.Rollback(ctx, req)
}

func (k *keyOnDemand) make(ctx context.Context) error {
	t, err := k.Trust(ctx)
	if err != nil {
		return err
	}
	if promoterListed(t) {
		return errNoPromotionKey()
	}
	ops, err := k.keyed()
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
