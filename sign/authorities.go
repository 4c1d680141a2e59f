package sign

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// Bounds on a trusted root and on a certificate chain.
const (
	maxTrustedRoot = 4 << 20 // bytes
	maxChain       = 10      // certificates
)

// authorities are those of a Sigstore trusted root.
type authorities struct {
	root     *root.TrustedRoot
	verifier *verify.Verifier // of certificates; nil if the root has none that issues any
}

// readAuthorities parses a trusted root. What it lists is demanded: a log entry
// if there are logs, a certificate timestamp if there are certificate logs; and
// in any case one verified time, for without it a certificate that expired
// after ten minutes could be used for ever.
func readAuthorities(content []byte) (*authorities, error) {
	if len(content) > maxTrustedRoot {
		return nil, fmt.Errorf("trusted root: %d bytes, at most %d are read", len(content), maxTrustedRoot)
	}
	trusted, err := root.NewTrustedRootFromJSON(content)
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	a := &authorities{root: trusted}
	if len(trusted.FulcioCertificateAuthorities()) == 0 {
		return a, nil
	}
	if len(trusted.RekorLogs()) == 0 && len(trusted.TimestampingAuthorities()) == 0 {
		return nil, errors.New("trusted root: it has neither a log nor a timestamp authority, so nothing can say when a certificate was used")
	}
	options := []verify.VerifierOption{verify.WithObserverTimestamps(1)}
	if len(trusted.RekorLogs()) > 0 {
		options = append(options, verify.WithTransparencyLog(1))
	}
	if len(trusted.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	if a.verifier, err = verify.NewVerifier(trusted, options...); err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	return a, nil
}

// CheckTrustedRoot refuses what is no Sigstore trusted root, and one that lists
// nobody: neither an authority for certificates or timestamps nor a log.
func CheckTrustedRoot(content []byte) error {
	a, err := readAuthorities(content)
	if err != nil {
		return err
	}
	if a.verifier == nil && len(a.root.TimestampingAuthorities()) == 0 && len(a.root.RekorLogs()) == 0 {
		return errors.New("trusted root: it lists no authority and no log")
	}
	return nil
}

// trustedIdentity is an identity that may sign.
type trustedIdentity struct {
	Identity
	matches func(subject string) bool
	dates   dates
}

// certified verifies a bundle that a certificate verifies: its chain, its log
// entry, its time, the identity that it names, and the signature over message
// (nil: over the DSSE envelope that the bundle holds, whose subject the caller
// must check).
func (v *Verifier) certified(b *protobundle.Bundle, message []byte) (Signed, error) {
	if len(v.identities) == 0 {
		return Signed{}, invalid("signed with a certificate, and no identity is trusted")
	}
	if n := len(b.GetVerificationMaterial().GetX509CertificateChain().GetCertificates()); n > maxChain {
		return Signed{}, invalid("a chain of %d certificates, at most %d are read", n, maxChain)
	}
	var options []bundle.Option
	if b.GetMediaType() == BundleMediaType {
		options = append(options, bundle.AllowCertificateChain())
	}
	entity, err := bundle.NewBundle(b, options...)
	if err != nil {
		return Signed{}, invalid("bundle: %v", err)
	}
	if err := oneSubject(entity); err != nil {
		return Signed{}, err
	}
	policy, err := v.identityPolicy(message)
	if err != nil {
		return Signed{}, err
	}
	result, err := v.authorities.verifier.Verify(entity, policy)
	if err != nil {
		return Signed{}, invalid("certificate: %v", err)
	}
	return v.identified(result)
}

// oneSubject refuses a certificate that names several subjects: Fulcio's name
// one, and which of several is meant depends on who reads it.
func oneSubject(entity *bundle.Bundle) error {
	content, err := entity.VerificationContent()
	if err != nil {
		return invalid("bundle: %v", err)
	}
	cert := content.Certificate()
	if cert == nil {
		return invalid("bundle without a certificate")
	}
	if n := len(cert.URIs) + len(cert.EmailAddresses) + len(cert.DNSNames) + len(cert.IPAddresses); n > 1 {
		return invalid("a certificate with %d subjects, not one", n)
	}
	return nil
}

// identityPolicy demands one of the trusted identities. There is at least one,
// and none is empty: to Sigstore's library an empty one means anybody.
func (v *Verifier) identityPolicy(message []byte) (verify.PolicyBuilder, error) {
	var options []verify.PolicyOption
	for _, who := range v.identities {
		if who.matches == nil {
			return verify.PolicyBuilder{}, errors.New("an identity that was not checked")
		}
		pattern := ""
		if who.SubjectRegexp != "" {
			pattern = wholeRegexp(who.SubjectRegexp)
		}
		id, err := verify.NewShortCertificateIdentity(who.Issuer, "", who.Subject, pattern)
		if err != nil {
			return verify.PolicyBuilder{}, err
		}
		options = append(options, verify.WithCertificateIdentity(id))
	}
	if message == nil {
		return verify.NewPolicy(verify.WithoutArtifactUnsafe(), options...), nil
	}
	sum := sha256.Sum256(message)
	return verify.NewPolicy(verify.WithArtifactDigest("sha256", sum[:]), options...), nil
}

// identified names who signed and holds the dates against the verified time.
func (v *Verifier) identified(result *verify.VerificationResult) (Signed, error) {
	if result.Signature == nil || result.Signature.Certificate == nil || len(result.VerifiedTimestamps) == 0 {
		return Signed{}, invalid("certificate: no verified identity or time")
	}
	// Everything the signature was seen by came after it: the first counts.
	var at time.Time
	for _, seen := range result.VerifiedTimestamps {
		if at.IsZero() || seen.Timestamp.Before(at) {
			at = seen.Timestamp
		}
	}
	summary := result.Signature.Certificate
	signer := Identity{Issuer: summary.Issuer, Subject: summary.SubjectAlternativeName}
	refused := invalid("%s is not trusted", signer.id())
	for _, who := range v.identities {
		if who.Issuer != signer.Issuer || !who.matches(signer.Subject) {
			continue
		}
		if refused = who.dates.admit(signer.id(), at, v.now()); refused == nil {
			return Signed{KeyID: signer.id(), Identity: &signer, SignedAt: at}, nil
		}
	}
	return Signed{}, refused
}
