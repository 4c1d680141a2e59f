package main

import (
	"context"
	"time"

	"kiln/registry/promotion"
	"kiln/sign"
)

// approvalSigning completes who signs an approval, before anything is opened.
// --keyless overrules KILN_APPROVAL_KEY. A timestamp is asked for where it is
// named, or where an identity needs one: what a key approved the ledger dates.
func (a *app) approvalSigning(s signerFlags) (signerFlags, error) {
	s.keyless = s.keyless.completed(a.getenv)
	switch {
	case s.keyless.on && s.key != "":
		return s, usagef("--approval-key or --keyless, not both")
	case s.keyless.on:
		s.timestampURL = firstOf(s.timestampURL, a.getenv("KILN_TIMESTAMP_URL"))
	default:
		s.key = firstOf(s.key, a.getenv("KILN_APPROVAL_KEY"))
	}
	return s, nil
}

// signApproval signs the word for this store.
func (a *app) signApproval(ctx context.Context, b *backend, signer *sign.Signer, req promotion.ApproveRequest) ([]byte, error) {
	if err := a.admitApprover(ctx, b, signer, req.Image); err != nil {
		return nil, err
	}
	known, err := b.ops.Approvals(ctx, promotion.ApprovalsRequest{Image: req.Image, Digest: req.Digest})
	if err != nil {
		return nil, err
	}
	return signer.SignApproval(ctx, req.Image, req.Digest, promotion.ApprovalStatement{
		StoreID: known.StoreID, Image: req.Image, Channel: req.Channel, Digest: req.Digest,
		Reason: req.Reason, At: time.Now().UTC().Truncate(time.Second),
	})
}

// admitApprover records the first key of a store that never listed one for
// approving; an identity has to be listed.
func (a *app) admitApprover(ctx context.Context, b *backend, signer *sign.Signer, image string) error {
	t, err := b.ops.Trust(ctx)
	if err != nil {
		return err
	}
	if who := signer.Principal().Identity; who != nil {
		return t.AdmitsIdentity(promotion.RoleApprove, *who, image, time.Now())
	}
	if open, _ := t.Admits(promotion.RoleApprove, signer.PublicPEM(), image, time.Now()); open {
		if _, err := b.ops.AddTrust(ctx, promotion.TrustRequest{Role: promotion.RoleApprove, Key: string(signer.PublicPEM()), FirstUse: true}); err != nil {
			return err
		}
		a.say("first approval of this store: recorded the key %s in its trust for approving", signer.KeyID())
	}
	return nil
}
