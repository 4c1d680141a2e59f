package sign

import (
	"time"

	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
)

// dates are when a principal may sign, both inclusive; zero is open.
type dates struct{ notBefore, notAfter time.Time }

// admit says whether what was signed at signedAt (zero: unknown) counts, as it
// is now. What is not known to be signed in time counts until the principal
// expires. ErrInvalid.
func (d dates) admit(who string, signedAt, now time.Time) error {
	known := !signedAt.IsZero()
	if !known {
		signedAt = now
	}
	if !d.notBefore.IsZero() && known && signedAt.Before(d.notBefore) {
		return invalid("%s was not valid yet: signed %s, valid from %s", who, stamp(signedAt), stamp(d.notBefore))
	}
	switch {
	case d.notAfter.IsZero() || !signedAt.After(d.notAfter):
		return nil
	case known:
		return invalid("%s had expired: signed %s, valid until %s", who, stamp(signedAt), stamp(d.notAfter))
	}
	return invalid("%s expired %s, and nothing says that this was signed before (no verified timestamp or log entry, no ledger record that admitted it)", who, stamp(d.notAfter))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// signedAt is when a bundle that a public key verifies was signed, as far as
// that is proven: when the ledger admitted it; zero if nothing is known.
func (v *Verifier) signedAt(_ *protobundle.Bundle, evidence digest.Digest) (time.Time, error) {
	return v.admittedAt(evidence), nil
}
