package promotion

import (
	"context"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// approvalKey is the index's entry of an approval of a digest, newest first;
// without a sequence it is the prefix of all.
func approvalKey(image string, d digest.Digest, sequence int64) string {
	prefix := store.ImageKey(image) + "approvals/" + string(d) + "/"
	if sequence == 0 {
		return prefix
	}
	return prefix + newestFirst(sequence)
}

// Approve implements Operations.
func (s *Service) Approve(context.Context, ApproveRequest) (Approval, error) {
	return Approval{}, errorf(KindInternal, "approve is not there yet")
}

// Approvals implements Operations.
func (s *Service) Approvals(_ context.Context, req ApprovalsRequest) (ApprovalList, error) {
	return ApprovalList{Schema: ApprovalsSchema, Image: req.Image, Digest: req.Digest, Approvals: []Approval{}}, nil
}
