package promotion

import "context"

// Approve implements Operations.
func (s *Service) Approve(context.Context, ApproveRequest) (Approval, error) {
	return Approval{}, errorf(KindInternal, "approve is not there yet")
}

// Approvals implements Operations.
func (s *Service) Approvals(_ context.Context, req ApprovalsRequest) (ApprovalList, error) {
	return ApprovalList{Schema: ApprovalsSchema, Image: req.Image, Digest: req.Digest, Approvals: []Approval{}}, nil
}
