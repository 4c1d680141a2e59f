package sign

import (
	"time"

	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
)

// dates are when a principal may sign, both inclusive; zero is open.
type dates struct{ notBefore, notAfter time.Time }

// admit says whether what was signed at signedAt (zero: unknown) counts, as it
// is now. What is not known to be signed in time counts while the principal is
// valid. ErrDates.
func (d dates) admit(who string, signedAt, now time.Time) error {
	known := !signedAt.IsZero()
	if !known {
		signedAt = now
	}
	switch {
	case !d.notBefore.IsZero() && signedAt.Before(d.notBefore) && known:
		return untimely("%s was not valid yet: signed %s, valid from %s", who, stamp(signedAt), stamp(d.notBefore))
	case !d.notBefore.IsZero() && signedAt.Before(d.notBefore):
		return untimely("%s is not valid yet: it is %s, valid from %s", who, stamp(now), stamp(d.notBefore))
	case d.notAfter.IsZero() || !signedAt.After(d.notAfter):
		return nil
	case known:
		return untimely("%s had expired: signed %s, valid until %s; sign again with a key that is valid", who, stamp(signedAt), stamp(d.notAfter))
	}
	return untimely("%s expired %s, and nothing says that this was signed before (no verified timestamp or log entry, no ledger record that admitted it); sign again with a key that is valid", who, stamp(d.notAfter))
}

// untimely makes an error that matches ErrDates and ErrInvalid.
func untimely(format string, args ...any) error { return datesError{invalid(format, args...)} }

type datesError struct{ error }

func (e datesError) Unwrap() error        { return e.error }
func (e datesError) Is(target error) bool { return target == ErrDates }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// signedAt is when a bundle that a public key verifies was signed at the
// latest, as far as that is proven: the earliest of its verified timestamps and
// log entries and of its admission to the ledger; zero if nothing is known.
// What does not verify proves nothing: it is passed over.
func (v *Verifier) signedAt(b *protobundle.Bundle, evidence digest.Digest) time.Time {
	at := v.admittedAt(evidence)
	for _, seen := range v.provenTimes(b) {
		if at.IsZero() || seen.Before(at) {
			at = seen
		}
	}
	return at
}
