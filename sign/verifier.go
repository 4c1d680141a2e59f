package sign

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// Verifier verifies for a fixed set of principals. The zero value knows none
// and refuses everything. It is safe for concurrent use.
type Verifier struct {
	keys        []publicKey
	identities  []trustedIdentity
	nameless    bool
	authorities *authorities // nil without a trusted root; there with identities
	clock       func() time.Time
	admitted    func(evidence digest.Digest) (time.Time, bool)
	dated       bool // some key has dates
}

// NewVerifier takes PEM-encoded public keys without dates, one in each
// argument; without any it is an error. ErrKey for one that is not usable.
func NewVerifier(publicPEMs ...[]byte) (*Verifier, error) {
	if len(publicPEMs) == 0 {
		return nil, errors.New("no public key to verify with")
	}
	var cfg VerifierConfig
	for _, content := range publicPEMs {
		cfg.Principals = append(cfg.Principals, Principal{Key: content})
	}
	return NewVerifierFor(cfg)
}

// NewVerifierFor makes a verifier; without a principal it is an error. ErrKey
// for a key that is not usable.
func NewVerifierFor(cfg VerifierConfig) (*Verifier, error) {
	if len(cfg.Principals) == 0 {
		return nil, errors.New("nobody to trust: no public key and no identity to verify with")
	}
	v := &Verifier{clock: cfg.Now, admitted: cfg.Admitted, nameless: cfg.Nameless}
	if len(cfg.TrustedRoot) > 0 {
		var err error
		if v.authorities, err = readAuthorities(cfg.TrustedRoot); err != nil {
			return nil, err
		}
	}
	for i, p := range cfg.Principals {
		if err := v.add(p); err != nil {
			return nil, fmt.Errorf("principal %d: %w", i+1, err)
		}
	}
	return v, nil
}

func (v *Verifier) add(p Principal) error {
	if err := p.check(); err != nil {
		return err
	}
	if p.Identity != nil {
		return v.addIdentity(p)
	}
	key, err := parsePublic(p.Key)
	if err != nil {
		return fmt.Errorf("public key: %w", err)
	}
	key.dates = dates{p.NotBefore, p.NotAfter}
	v.dated = v.dated || !p.NotBefore.IsZero() || !p.NotAfter.IsZero()
	v.keys = append(v.keys, key)
	return nil
}

func (v *Verifier) addIdentity(p Principal) error {
	if v.authorities == nil || v.authorities.verifier == nil {
		return errors.New("an identity needs a trusted root (trusted_root.json) with a certificate authority")
	}
	matches, err := p.Identity.matcher()
	if err != nil {
		return err
	}
	v.identities = append(v.identities, trustedIdentity{*p.Identity, matches, dates{p.NotBefore, p.NotAfter}})
	return nil
}

// KeyIDs are the ids of the keys that v verifies with.
func (v *Verifier) KeyIDs() []string {
	ids := make([]string, len(v.keys))
	for i, key := range v.keys {
		ids[i] = key.id
	}
	return ids
}

// now is the time by v's clock.
func (v *Verifier) now() time.Time {
	if v.clock == nil {
		return time.Now()
	}
	return v.clock()
}

// verify finds the key that made sig over message at signedAt, zero if that is
// not known. Of several entries for one key it is enough that one admits. hint,
// which proves nothing, is the id or the bundle's hint of the key to try first.
func (v *Verifier) verify(sig, message []byte, signedAt time.Time, hint string) (keyID string, err error) {
	if len(sig) == 0 || len(sig) > maxSignatureBytes {
		return "", invalid("a signature of %d bytes", len(sig))
	}
	var outOfDate error
	sum := sha256.Sum256(message) // what every key signs, see checkStrength
	hashed := options.WithDigest(sum[:])
	for key := range v.hinted(hint) {
		if key.verifier.VerifySignature(bytes.NewReader(sig), nil, hashed) != nil {
			continue
		}
		err := key.dates.admit("key "+key.id, signedAt, v.now())
		if err == nil {
			return key.id, nil
		}
		outOfDate = err
	}
	if outOfDate != nil {
		return "", outOfDate
	}
	return "", invalid("not signed by a known key (%d known)", len(v.keys))
}

// hinted are the keys, those that hint means first.
func (v *Verifier) hinted(hint string) iter.Seq[publicKey] {
	return func(yield func(publicKey) bool) {
		for _, meant := range []bool{true, false} {
			for _, key := range v.keys {
				if (hint != "" && (key.id == hint || key.hint() == hint)) == meant && !yield(key) {
					return
				}
			}
		}
	}
}

// verifyDSSE finds the key that made sig over an in-toto payload.
func (v *Verifier) verifyDSSE(sig, payload []byte, signedAt time.Time, hint string) (keyID string, err error) {
	return v.verify(sig, dsse.PAE(payloadType, payload), signedAt, hint)
}

// admittedAt is when a ledger record admitted a piece of evidence; zero if
// that is not known. The ledger is asked only for keys that have dates.
func (v *Verifier) admittedAt(evidence digest.Digest) time.Time {
	if v.admitted == nil || evidence == "" || !v.dated {
		return time.Time{}
	}
	at, ok := v.admitted(evidence)
	if !ok {
		return time.Time{}
	}
	return at
}
