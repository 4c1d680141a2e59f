package sign

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// Verifier verifies with a fixed set of public keys. The zero value knows no
// key and refuses everything. It is safe for concurrent use.
type Verifier struct {
	keys []publicKey
}

// NewVerifier takes PEM-encoded public keys, one in each argument; without any
// it is an error. ErrKey for one that is not usable.
func NewVerifier(publicPEMs ...[]byte) (*Verifier, error) {
	if len(publicPEMs) == 0 {
		return nil, errors.New("no public key to verify with")
	}
	v := &Verifier{}
	for i, content := range publicPEMs {
		key, err := parsePublic(content)
		if err != nil {
			return nil, fmt.Errorf("public key %d: %w", i+1, err)
		}
		v.keys = append(v.keys, key)
	}
	return v, nil
}

// KeyIDs are the ids of the keys that v verifies with.
func (v *Verifier) KeyIDs() []string {
	ids := make([]string, len(v.keys))
	for i, key := range v.keys {
		ids[i] = key.id
	}
	return ids
}

// verify finds the key that made sig over message.
func (v *Verifier) verify(sig, message []byte) (keyID string, err error) {
	if len(sig) == 0 || len(sig) > maxSignatureBytes {
		return "", invalid("a signature of %d bytes", len(sig))
	}
	for _, key := range v.keys {
		if key.verifier.VerifySignature(bytes.NewReader(sig), bytes.NewReader(message)) == nil {
			return key.id, nil
		}
	}
	return "", invalid("not signed by a known key (%d known)", len(v.keys))
}

// verifyDSSE finds the key that made sig over an in-toto payload.
func (v *Verifier) verifyDSSE(sig, payload []byte) (keyID string, err error) {
	return v.verify(sig, dsse.PAE(payloadType, payload))
}
