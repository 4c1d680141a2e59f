package sign

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func rsaPEM(t *testing.T, bits int) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

// publicFile encodes any public key as PEM.
func publicFile(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func keyFile(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kiln.key")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKeyRoundTrip(t *testing.T) {
	private, public, err := GenerateKey([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	path, asked := keyFile(t, private), 0
	s, err := LoadSigner(context.Background(), path, func() ([]byte, error) { asked++; return []byte("secret"), nil })
	if err != nil {
		t.Fatal(err)
	}
	if asked != 1 {
		t.Errorf("asked for the password %d times", asked)
	}
	if !bytes.Equal(s.PublicPEM(), public) {
		t.Error("another public key than was generated")
	}
	block, _ := pem.Decode(public)
	sum := sha256.Sum256(block.Bytes)
	want := "sha256:" + hex.EncodeToString(sum[:])
	id, err := KeyID(public)
	if err != nil || id != want || s.KeyID() != want {
		t.Errorf("key ids %s and %s (%v), want %s", id, s.KeyID(), err, want)
	}
	if bytes.Contains(private, []byte("PRIVATE KEY-----\n{")) || bytes.Contains(private, block.Bytes) {
		t.Error("private key is not encrypted")
	}
	_, err = LoadSigner(context.Background(), path, password("guess"))
	if !errors.Is(err, ErrKeyPassword) || !bytes.Contains([]byte(err.Error()), []byte("COSIGN_PASSWORD")) {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := LoadSigner(context.Background(), path, nil); !errors.Is(err, ErrKeyPassword) {
		t.Errorf("no password: %v", err)
	}
	stop := errors.New("no terminal")
	if _, err := LoadSigner(context.Background(), path, func() ([]byte, error) { return nil, stop }); !errors.Is(err, stop) {
		t.Errorf("password not to be had: %v", err)
	}
}

// Decrypting costs a fifth of a second; signing must not do it again.
func TestSigningDoesNotDecryptAgain(t *testing.T) {
	private, _, err := GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	s, err := LoadSigner(context.Background(), keyFile(t, private), nil)
	if err != nil {
		t.Fatal(err)
	}
	opening := time.Since(start)
	start = time.Now()
	for range 20 {
		if _, err := s.sign(context.Background(), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if signing := time.Since(start); signing > 3*opening {
		t.Errorf("20 signatures took %v, opening the key %v", signing, opening)
	}
}

func TestUnusableKeys(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small := &rsa.PublicKey{N: p384.Params().P, E: 65537}
	good := testSigner(t).PublicPEM()
	private, _, err := GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string][]byte{
		"empty":            nil,
		"not PEM":          []byte("ssh-ed25519 AAAA"),
		"a private key":    private,
		"P-384":            publicFile(t, p384.Public()),
		"Ed25519":          publicFile(t, ed),
		"RSA of 384 bits":  publicFile(t, small),
		"two keys":         append(append([]byte{}, good...), testSigner(t).PublicPEM()...),
		"garbage after":    append(append([]byte{}, good...), "x"...),
		"broken DER":       pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{0x30, 0x01}}),
		"a certificate":    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{0x30}}),
		"larger than keys": append(append([]byte{}, good...), bytes.Repeat([]byte("\n"), maxKeyFile)...),
	}
	for what, content := range cases {
		if _, err := NewVerifier(good, content); !errors.Is(err, ErrKey) {
			t.Errorf("public key: %s: %v", what, err)
		}
		if _, err := KeyID(content); !errors.Is(err, ErrKey) {
			t.Errorf("key id: %s: %v", what, err)
		}
	}
	delete(cases, "a private key")
	cases["plain PKCS #1"] = []byte(rsaPEM(t, 2048))
	cases["costly scrypt"] = pem.EncodeToMemory(&pem.Block{Type: privatePEM, Bytes: []byte(
		`{"kdf":{"name":"scrypt","params":{"N":1073741824,"r":8,"p":1},"salt":"AAAA"},"cipher":{"name":"nacl/secretbox","nonce":"AAAA"},"ciphertext":"AAAA"}`)})
	cases["other JSON"] = pem.EncodeToMemory(&pem.Block{Type: privatePEM, Bytes: []byte(`[]`)})
	for what, content := range cases {
		if _, err := LoadSigner(context.Background(), keyFile(t, content), nil); !errors.Is(err, ErrKey) {
			t.Errorf("private key: %s: %v", what, err)
		}
	}
	if _, err := LoadSigner(context.Background(), filepath.Join(t.TempDir(), "none.key"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func password(s string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(s), nil }
}

// TestPlainP256: where a key is not encoded again, that would change nothing.
func TestPlainP256(t *testing.T) {
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		if got := isPlainP256(der); got != (name == "P-256") {
			t.Errorf("%s: plain %v", name, got)
		}
		if isPlainP256(der[:len(der)-1]) || isPlainP256(append(der, 0)) {
			t.Errorf("%s: plain with a byte less or more", name)
		}
	}
}
