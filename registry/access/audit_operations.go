package access

import (
	"context"
	"strconv"

	"kiln/registry/promotion"
)

// auditedOperations writes a line for each operation that changes something. It
// embeds nothing: a method that is added to the interface is thought about.
type auditedOperations struct {
	ops   promotion.Operations
	audit *Audit
}

var _ promotion.Operations = (*auditedOperations)(nil)

func (a *auditedOperations) Promote(ctx context.Context, req promotion.PromoteRequest) (promotion.Promotion, error) {
	out, err := a.ops.Promote(ctx, req)
	a.audit.record(ctx, "promote", err, "repo", req.Image, "channel", req.Channel, "digest", string(req.Digest), "record", string(out.Record))
	return out, err
}

func (a *auditedOperations) Rollback(ctx context.Context, req promotion.RollbackRequest) (promotion.Promotion, error) {
	out, err := a.ops.Rollback(ctx, req)
	d := out.Digest
	if err != nil {
		d = req.To
	}
	a.audit.record(ctx, "rollback", err, "repo", req.Image, "channel", req.Channel, "digest", string(d), "record", string(out.Record))
	return out, err
}

func (a *auditedOperations) Resolve(ctx context.Context, req promotion.ResolveRequest) (promotion.Resolution, error) {
	return a.ops.Resolve(ctx, req)
}

func (a *auditedOperations) History(ctx context.Context, req promotion.HistoryRequest) (promotion.History, error) {
	return a.ops.History(ctx, req)
}

func (a *auditedOperations) Versions(ctx context.Context, req promotion.VersionsRequest) (promotion.Versions, error) {
	return a.ops.Versions(ctx, req)
}

func (a *auditedOperations) Images(ctx context.Context, req promotion.ImagesRequest) (promotion.Images, error) {
	return a.ops.Images(ctx, req)
}

func (a *auditedOperations) Channels(ctx context.Context, req promotion.ChannelsRequest) (promotion.ChannelList, error) {
	return a.ops.Channels(ctx, req)
}

func (a *auditedOperations) Renew(ctx context.Context, req promotion.RenewRequest) (promotion.Renewal, error) {
	out, err := a.ops.Renew(ctx, req)
	a.audit.record(ctx, "renew", err, "repo", req.Image, "channel", req.Channel, "renewed", strconv.Itoa(len(out.Renewed)))
	return out, err
}

func (a *auditedOperations) Revoke(ctx context.Context, req promotion.RevokeRequest) (promotion.Revocation, error) {
	out, err := a.ops.Revoke(ctx, req)
	a.audit.record(ctx, "revoke", err, "repo", req.Image, "digest", string(req.Digest), "record", string(out.Record))
	return out, err
}

func (a *auditedOperations) Restore(ctx context.Context, req promotion.RestoreRequest) (promotion.Restoration, error) {
	out, err := a.ops.Restore(ctx, req)
	a.audit.record(ctx, "restore", err, "repo", req.Image, "digest", string(req.Digest), "record", string(out.Record))
	return out, err
}

func (a *auditedOperations) Revocations(ctx context.Context, req promotion.RevocationsRequest) (promotion.RevocationList, error) {
	return a.ops.Revocations(ctx, req)
}

func (a *auditedOperations) Approve(ctx context.Context, req promotion.ApproveRequest) (promotion.Approval, error) {
	out, err := a.ops.Approve(ctx, req)
	a.audit.record(ctx, "approve", err, "repo", req.Image, "channel", req.Channel, "digest", string(req.Digest), "record", string(out.Record))
	return out, err
}

func (a *auditedOperations) Approvals(ctx context.Context, req promotion.ApprovalsRequest) (promotion.ApprovalList, error) {
	return a.ops.Approvals(ctx, req)
}

func (a *auditedOperations) Trust(ctx context.Context) (promotion.Trust, error) {
	return a.ops.Trust(ctx)
}

func (a *auditedOperations) AddTrust(ctx context.Context, req promotion.TrustRequest) (promotion.TrustEntry, error) {
	out, err := a.ops.AddTrust(ctx, req)
	a.audit.record(ctx, "trust_add", err, "images", req.Image, "role", string(req.Role), "key", out.KeyID)
	return out, err
}

func (a *auditedOperations) RemoveTrust(ctx context.Context, req promotion.TrustRequest) (promotion.Trust, error) {
	out, err := a.ops.RemoveTrust(ctx, req)
	a.audit.record(ctx, "trust_remove", err, "images", req.Image, "role", string(req.Role), "key", req.KeyID)
	return out, err
}

func (a *auditedOperations) SetTrustRoot(ctx context.Context, req promotion.TrustRootRequest) (promotion.Trust, error) {
	out, err := a.ops.SetTrustRoot(ctx, req)
	a.audit.record(ctx, "trust_root", err, "bytes", strconv.Itoa(len(req.Root)))
	return out, err
}

func (a *auditedOperations) Lease(ctx context.Context, req promotion.LeaseRequest) (promotion.Lease, error) {
	out, err := a.ops.Lease(ctx, req)
	a.audit.record(ctx, "lease", err, "repo", req.Image, "digest", string(req.Digest), "holder", req.Holder)
	return out, err
}

func (a *auditedOperations) Release(ctx context.Context, req promotion.ReleaseRequest) error {
	err := a.ops.Release(ctx, req)
	a.audit.record(ctx, "release", err, "repo", req.Image, "digest", string(req.Digest), "holder", req.Holder)
	return err
}

func (a *auditedOperations) Ancestry(ctx context.Context, req promotion.AncestryRequest) (promotion.Ancestry, error) {
	return a.ops.Ancestry(ctx, req)
}

func (a *auditedOperations) Leases(ctx context.Context, req promotion.LeasesRequest) (promotion.LeaseList, error) {
	return a.ops.Leases(ctx, req)
}

func (a *auditedOperations) Delete(ctx context.Context, req promotion.DeleteRequest) (promotion.Deletion, error) {
	out, err := a.ops.Delete(ctx, req)
	a.audit.record(ctx, "delete", err, "repo", req.Image, "digest", string(req.Digest))
	return out, err
}

// Collect writes a line for what removes something, and for a refusal.
func (a *auditedOperations) Collect(ctx context.Context, req promotion.CollectRequest) (promotion.CollectResult, error) {
	out, err := a.ops.Collect(ctx, req)
	if req.Apply || isDenied(err) {
		a.audit.record(ctx, "gc", err, "removed", strconv.Itoa(len(out.Removed)), "condemned", strconv.Itoa(len(out.Condemned)),
			"retired", strconv.Itoa(len(out.Retired)), "bytes", strconv.FormatInt(out.Bytes, 10))
	}
	return out, err
}

// auditedTokens writes a line for each token that is made or revoked.
type auditedTokens struct {
	tokens promotion.Tokens
	audit  *Audit
}

var _ promotion.Tokens = (*auditedTokens)(nil)

func (a *auditedTokens) CreateToken(ctx context.Context, req promotion.TokenRequest) (promotion.Token, error) {
	out, err := a.tokens.CreateToken(ctx, req)
	a.audit.record(ctx, "token_create", err, "token", req.Name, "token_id", out.ID)
	return out, err
}

func (a *auditedTokens) ListTokens(ctx context.Context) (promotion.TokenList, error) {
	return a.tokens.ListTokens(ctx)
}

func (a *auditedTokens) RevokeToken(ctx context.Context, req promotion.RevokeTokenRequest) (promotion.TokenList, error) {
	out, err := a.tokens.RevokeToken(ctx, req)
	if len(out.Tokens) == 0 {
		a.audit.record(ctx, "token_revoke", err, "token", req.Name, "token_id", req.ID)
	}
	for _, t := range out.Tokens {
		a.audit.record(ctx, "token_revoke", err, "token", t.Name, "token_id", t.ID)
	}
	return out, err
}
