package sign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// SignApproval signs somebody's yes to a promotion and returns a Sigstore
// bundle, which Verifier.VerifyAttestation reads with ApprovalPredicate.
// predicate must marshal to a JSON object.
func (s *Signer) SignApproval(ctx context.Context, image string, d digest.Digest, predicate any) ([]byte, error) {
	content, err := json.Marshal(predicate)
	if err == nil && !isObject(content) {
		err = errors.New("predicate is not a JSON object")
	}
	var bundle []byte
	if err == nil {
		st := Statement{Subject: Subject{Name: image, Digest: d}, PredicateType: ApprovalPredicate, Predicate: content}
		bundle, err = s.bundle(ctx, st, maxPayload)
	}
	if err != nil {
		return nil, fmt.Errorf("approve %s@%s: %w", image, d, err)
	}
	return bundle, nil
}
