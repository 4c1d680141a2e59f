package sign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log/slog"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// Signer signs with one private key. It is safe for concurrent use. Make it
// once per process: opening a key costs 0.2 s of scrypt, or a question to the
// service that holds it.
type Signer struct {
	key    signature.SignerVerifier
	public publicKey
	own    *Verifier
	// keyless is set instead of key for a signer that has certificates.
	keyless *keyless
	// authority is the address of one that stamps bundles; "" for none.
	authority string
}

func newSigner(key signature.SignerVerifier) (*Signer, error) {
	pub, err := key.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrKey, err)
	}
	public, err := newPublicKey(pub)
	if err != nil {
		return nil, err
	}
	return &Signer{key: key, public: public, own: &Verifier{keys: []publicKey{public}}}, nil
}

// KeyID is the id of the key: "sha256:" and the hex digest of the DER
// SubjectPublicKeyInfo; or that of the identity (Principal.ID).
func (s *Signer) KeyID() string { return s.public.id }

// PublicPEM is the public key, as `cosign verify --key` takes it; nil for a
// keyless signer.
func (s *Signer) PublicPEM() []byte {
	if s.keyless != nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicPEM, Bytes: s.public.der})
}

// Principal is who signs: the key, or the identity of a keyless signer.
func (s *Signer) Principal() Principal {
	if s.keyless != nil {
		who := s.keyless.identity
		return Principal{Identity: &who}
	}
	return Principal{Key: s.PublicPEM()}
}

// Verifier verifies what this signer signed only.
func (s *Signer) Verifier() *Verifier { return s.own }

// LogValue, String and GoString show the key's id, never the key.
func (s *Signer) LogValue() slog.Value { return slog.StringValue(s.public.id) }

// String shows the key's id.
func (s *Signer) String() string { return s.public.id }

// GoString shows the key's id.
func (s *Signer) GoString() string { return s.public.id }

// sign signs a message; ctx bounds it where a key service signs.
func (s *Signer) sign(ctx context.Context, message []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.keyless != nil {
		return nil, fmt.Errorf("sign as %s: ledger records and channel statements need a key", s.public.id)
	}
	sig, err := s.key.SignMessage(bytes.NewReader(message), options.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", s.public.id, err)
	}
	return sig, nil
}

// signDSSE signs the pre-authentication encoding of an in-toto payload.
func (s *Signer) signDSSE(ctx context.Context, payload []byte) ([]byte, error) {
	return s.sign(ctx, dsse.PAE(payloadType, payload))
}

// hint is how Sigstore bundles name a key: the base64 SHA-256 of its DER form.
func (k publicKey) hint() string {
	sum := sha256.Sum256(k.der)
	return base64.StdEncoding.EncodeToString(sum[:])
}
