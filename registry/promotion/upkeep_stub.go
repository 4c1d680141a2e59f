package promotion

import (
	"context"
)

var errNotYet = errorf(KindInvalid, "not built yet")

// Lease implements Operations.
func (s *Service) Lease(context.Context, LeaseRequest) (Lease, error) { return Lease{}, errNotYet }

// Release implements Operations.
func (s *Service) Release(context.Context, ReleaseRequest) error { return errNotYet }

// Leases implements Operations.
func (s *Service) Leases(context.Context, LeasesRequest) (LeaseList, error) {
	return LeaseList{}, errNotYet
}

// Delete implements Operations.
func (s *Service) Delete(context.Context, DeleteRequest) (Deletion, error) {
	return Deletion{}, errNotYet
}

// Collect implements Operations.
func (s *Service) Collect(context.Context, CollectRequest) (CollectResult, error) {
	return CollectResult{}, errNotYet
}
