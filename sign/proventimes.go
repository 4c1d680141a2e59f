package sign

import (
	"bytes"
	"crypto"
	"fmt"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// provenTimes are the times at which authorities that the trusted root lists
// saw the signature of a bundle.
func (v *Verifier) provenTimes(b *protobundle.Bundle) []time.Time {
	material := b.GetVerificationMaterial()
	stamps, entries := material.GetTimestampVerificationData().GetRfc3161Timestamps(), material.GetTlogEntries()
	if v.authorities == nil || len(stamps)+len(entries) == 0 || len(stamps) > maxTimes || len(entries) > maxTimes {
		return nil
	}
	for _, s := range stamps {
		if len(s.GetSignedTimestamp()) > maxTimestamp {
			return nil
		}
	}
	entity, err := bundle.NewBundle(b)
	if err != nil {
		return nil
	}
	var times []time.Time
	if found, _, err := verify.VerifySignedTimestamp(entity, v.authorities.root); err == nil {
		for _, t := range found {
			times = append(times, t.Time)
		}
	}
	if len(entries) == 0 {
		return times
	}
	trusted := &keyedRoot{v.authorities.root, v.keys}
	if found, err := verify.VerifyTlogEntry(entity, trusted, 1, true); err == nil {
		for _, t := range found {
			times = append(times, t.Time)
		}
	}
	return times
}

// nameKey notes who made sig over message in material that names no key, as
// cosign's tag layouts do not: a log entry is of one.
func (v *Verifier) nameKey(material *protobundle.VerificationMaterial, sig, message []byte) {
	named := material.GetPublicKey()
	if v.authorities == nil || named == nil || named.GetHint() != "" || len(material.GetTlogEntries()) == 0 {
		return
	}
	for _, key := range v.keys {
		if key.verifier.VerifySignature(bytes.NewReader(sig), bytes.NewReader(message)) == nil {
			named.Hint = key.hint()
			return
		}
	}
}

// keyedRoot is a trusted root that also knows public keys, by the hint that
// bundles have: a log entry names the key that it was made with.
type keyedRoot struct {
	*root.TrustedRoot
	keys []publicKey
}

// PublicKeyVerifier implements root.TrustedMaterial.
func (r *keyedRoot) PublicKeyVerifier(hint string) (root.TimeConstrainedVerifier, error) {
	for _, key := range r.keys {
		if key.hint() == hint {
			return undated{key.verifier}, nil
		}
	}
	return nil, fmt.Errorf("no key with the hint %q", hint)
}

// undated is a key whose dates are judged elsewhere.
type undated struct{ signature.Verifier }

// ValidAtTime implements root.TimeConstrainedVerifier.
func (undated) ValidAtTime(time.Time) bool { return true }

// PublicKey implements root.TimeConstrainedVerifier.
func (u undated) PublicKey(opts ...signature.PublicKeyOption) (crypto.PublicKey, error) {
	return u.Verifier.PublicKey(opts...)
}
