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
// SubjectPublicKeyInfo.
func (s *Signer) KeyID() string { return s.public.id }

// PublicPEM is the public key, as `cosign verify --key` takes it.
func (s *Signer) PublicPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: publicPEM, Bytes: s.public.der})
}

// Verifier verifies with the signer's own key only.
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
