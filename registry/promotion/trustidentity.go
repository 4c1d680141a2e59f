package promotion

import (
	"time"

	"kiln/sign"
)

// AdmitsIdentity says whether who, the issuer and subject that a certificate
// names, may play a role for an image at a time, in some channel: KindDenied if
// no entry with an identity matches. Identities are never recorded by their
// first use: whoever the issuer lets in could be the first.
func (t Trust) AdmitsIdentity(role Role, who sign.Identity, image string, at time.Time) error {
	for _, e := range t.Entries {
		if e.Identity != nil && e.Identity.Matches(who) && e.covers(role, image, "") && e.current(at) {
			return nil
		}
	}
	return errorf(KindDenied, "the identity %s of %s is not trusted to %s %s", who.Subject, who.Issuer, role, image).
		hinted("kiln trust add --identity-issuer '%s' --identity-subject '%s' --role %s --image '%s'", who.Issuer, who.Subject, role, image)
}
