package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// PEM types of cosign's private keys: what 2.x writes, and what 1.x wrote.
const (
	privatePEM    = "ENCRYPTED SIGSTORE PRIVATE KEY"
	oldPrivatePEM = "ENCRYPTED COSIGN PRIVATE KEY"
	publicPEM     = "PUBLIC KEY"
)

// GenerateKey makes a P-256 key pair, PEM-encoded as `cosign
// generate-key-pair` does. An empty password encrypts with an empty password.
func GenerateKey(password []byte) (private, public []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode key: %w", err)
	}
	sealed, err := encrypted.Encrypt(der, password)
	if err != nil {
		return nil, nil, fmt.Errorf("encrypt key: %w", err)
	}
	public, err = cryptoutils.MarshalPublicKeyToPEM(key.Public())
	if err != nil {
		return nil, nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privatePEM, Bytes: sealed}), public, nil
}

// KeyID is the id of a PEM-encoded public key: "sha256:" and the hex digest of
// its DER SubjectPublicKeyInfo. ErrKey if the key is not usable.
func KeyID(public []byte) (string, error) {
	key, err := parsePublic(public)
	if err != nil {
		return "", err
	}
	return key.id, nil
}

// openPrivate decrypts a private key in cosign's form.
func openPrivate(content []byte, password func() ([]byte, error)) (signature.SignerVerifier, error) {
	block, err := onePEM(content)
	if err != nil {
		return nil, err
	}
	if block.Type != privatePEM && block.Type != oldPrivatePEM {
		return nil, fmt.Errorf("%w: %q is not %q; make one with kiln keygen or cosign generate-key-pair", ErrKey, block.Type, privatePEM)
	}
	var pass []byte
	if password != nil {
		if pass, err = password(); err != nil {
			return nil, fmt.Errorf("read password: %w", err)
		}
	}
	der, err := encrypted.Decrypt(block.Bytes, pass)
	if err != nil {
		if strings.Contains(err.Error(), "decryption failed") {
			return nil, fmt.Errorf("%w; set COSIGN_PASSWORD to the one it was made with", ErrKeyPassword)
		}
		return nil, fmt.Errorf("%w: %v", ErrKey, err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrKey, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: %T cannot sign", ErrKey, key)
	}
	if err := checkStrength(signer.Public()); err != nil {
		return nil, err
	}
	return signature.LoadSignerVerifier(key, crypto.SHA256)
}

// publicKey is a key that signatures are checked with.
type publicKey struct {
	id       string
	der      []byte
	verifier signature.Verifier
	dates    dates
}

func parsePublic(content []byte) (publicKey, error) {
	block, err := onePEM(content)
	if err != nil {
		return publicKey{}, err
	}
	if block.Type != publicPEM {
		return publicKey{}, fmt.Errorf("%w: %q is not a public key (%q)", ErrKey, block.Type, publicPEM)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return publicKey{}, fmt.Errorf("%w: %v", ErrKey, err)
	}
	if isPlainP256(block.Bytes) {
		return publicKeyOf(key, block.Bytes)
	}
	return newPublicKey(key)
}

func newPublicKey(key crypto.PublicKey) (publicKey, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return publicKey{}, fmt.Errorf("%w: %v", ErrKey, err)
	}
	return publicKeyOf(key, der)
}

// isPlainP256 says whether der, which was parsed, is how a P-256 key is always
// encoded: making it again would make the same.
func isPlainP256(der []byte) bool {
	return len(der) == len(p256DER)+65 && bytes.HasPrefix(der, p256DER)
}

// p256DER begins the SubjectPublicKeyInfo of every P-256 key (RFC 5480, section
// 2); the uncompressed point follows.
var p256DER = []byte("\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00")

// publicKeyOf takes a key with its canonical DER.
func publicKeyOf(key crypto.PublicKey, der []byte) (publicKey, error) {
	if err := checkStrength(key); err != nil {
		return publicKey{}, err
	}
	verifier, err := signature.LoadVerifier(key, crypto.SHA256)
	if err != nil {
		return publicKey{}, fmt.Errorf("%w: %v", ErrKey, err)
	}
	sum := sha256.Sum256(der)
	return publicKey{id: "sha256:" + hex.EncodeToString(sum[:]), der: der, verifier: verifier}, nil
}

// checkStrength admits the keys that cosign verifies with SHA-256.
func checkStrength(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return fmt.Errorf("%w: curve %s; take ECDSA P-256 or RSA", ErrKey, k.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return fmt.Errorf("%w: RSA of %d bits; take at least 2048", ErrKey, k.N.BitLen())
		}
	default:
		return fmt.Errorf("%w: %T; take ECDSA P-256 or RSA", ErrKey, key)
	}
	if err := cryptoutils.ValidatePubKey(key); err != nil {
		return fmt.Errorf("%w: %v", ErrKey, err)
	}
	return nil
}

// onePEM decodes a file that holds one PEM block and nothing after it.
func onePEM(content []byte) (*pem.Block, error) {
	if len(content) > maxKeyFile {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrKey, len(content), maxKeyFile)
	}
	block, rest := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%w: not PEM", ErrKey)
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%w: more than one PEM block in one file", ErrKey)
	}
	return block, nil
}

// readKeyFile reads no more of a file than a key can have.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKeyFile+1))
}
