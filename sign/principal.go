package sign

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// Identity is an OIDC identity that a Fulcio certificate names. Issuer is
// exact and required; exactly one of Subject (exact) and SubjectRegexp (RE2,
// matched whole) is set. A zero Identity matches nobody.
type Identity struct {
	Issuer        string `json:"issuer"`
	Subject       string `json:"subject,omitempty"`
	SubjectRegexp string `json:"subject_regexp,omitempty"`
}

// matcher checks an identity and returns what says whether a certificate's
// subject is meant.
func (i Identity) matcher() (func(subject string) bool, error) {
	switch {
	case i.Issuer == "":
		return nil, errors.New("identity: issuer required")
	case strings.Contains(i.Issuer, "#"):
		return nil, errors.New("identity: an issuer has no #, which ends it in an id")
	case i.Subject != "" && i.SubjectRegexp != "":
		return nil, errors.New("identity: subject or subject_regexp, not both")
	case i.Subject != "":
		return func(subject string) bool { return subject == i.Subject }, nil
	case i.SubjectRegexp == "":
		return nil, errors.New("identity: subject or subject_regexp required")
	}
	// Alone first: "a)|(b" would be two patterns, neither matched whole.
	if _, err := regexp.Compile(i.SubjectRegexp); err != nil {
		return nil, fmt.Errorf("identity: subject_regexp: %v", err)
	}
	re, err := regexp.Compile(wholeRegexp(i.SubjectRegexp))
	if err != nil {
		return nil, fmt.Errorf("identity: subject_regexp: %v", err)
	}
	return re.MatchString, nil
}

// Matches says whether who, an issuer and a subject as a certificate names
// them, is meant by i.
func (i Identity) Matches(who Identity) bool {
	matches, err := i.matcher()
	return err == nil && who.Issuer == i.Issuer && who.Subject != "" && matches(who.Subject)
}

// wholeRegexp matches only what pattern matches from end to end.
func wholeRegexp(pattern string) string { return `\A(?:` + pattern + `)\z` }

// id names an identity as Principal.ID does.
func (i Identity) id() string {
	if i.SubjectRegexp != "" {
		return "identity:" + i.Issuer + "#/" + i.SubjectRegexp + "/"
	}
	return "identity:" + i.Issuer + "#" + i.Subject
}

// Principal is who may sign: exactly one of Key, a PEM-encoded public key, and
// Identity; within dates, both inclusive (zero: open).
type Principal struct {
	Key                 []byte
	Identity            *Identity
	NotBefore, NotAfter time.Time
}

// ID names a principal: a key's id, or "identity:", the issuer, "#" and the
// subject (a regexp between slashes; in verified results the subject of the
// certificate). ErrKey for an unusable key.
func (p Principal) ID() (string, error) {
	if err := p.check(); err != nil {
		return "", err
	}
	if p.Identity != nil {
		return p.Identity.id(), nil
	}
	return KeyID(p.Key)
}

// check checks all but the key's PEM.
func (p Principal) check() error {
	if (len(p.Key) == 0) == (p.Identity == nil) {
		return fmt.Errorf("%w: principal: exactly one of key and identity required", ErrKey)
	}
	if !p.NotBefore.IsZero() && !p.NotAfter.IsZero() && p.NotAfter.Before(p.NotBefore) {
		return fmt.Errorf("principal: not_after %s is before not_before %s",
			p.NotAfter.Format(time.RFC3339), p.NotBefore.Format(time.RFC3339))
	}
	if p.Identity == nil {
		return nil
	}
	_, err := p.Identity.matcher()
	return err
}

// VerifierConfig says whom a Verifier believes.
type VerifierConfig struct {
	// Principals are those who may sign, at least one.
	Principals []Principal
	// TrustedRoot is a Sigstore trusted root (trusted_root.json): whose
	// certificates, logs and timestamps count. Identities need it, and dates
	// that timestamps are to judge.
	TrustedRoot []byte
	// Nameless admits signatures that name no image, as cosign 3 makes them:
	// they say that a principal signed these bytes, not that they are this
	// image (Signature.Named is ""). Attestations must always name it.
	Nameless bool
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Admitted says when a verified ledger record admitted a piece of evidence
	// (the digest of its manifest); nil knows of none.
	Admitted func(evidence digest.Digest) (time.Time, bool)
}
