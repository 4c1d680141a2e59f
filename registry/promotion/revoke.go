package promotion

import "context"

// Revoke implements Operations.
func (s *Service) Revoke(context.Context, RevokeRequest) (Revocation, error) {
	return Revocation{}, errorf(KindInternal, "revoke is not there yet")
}

// Restore implements Operations.
func (s *Service) Restore(context.Context, RestoreRequest) (Restoration, error) {
	return Restoration{}, errorf(KindInternal, "restore is not there yet")
}

// Revocations implements Operations.
func (s *Service) Revocations(context.Context, RevocationsRequest) (RevocationList, error) {
	return RevocationList{Schema: RevocationsSchema, Revocations: []Revocation{}}, nil
}
