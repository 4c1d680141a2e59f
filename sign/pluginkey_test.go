package sign

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/handler"
)

// runPlugin is a key service plugin as its author would write it: it keeps
// each key in the file that the URI names, beside a log of what was asked.
func runPlugin(args []string, in io.Reader, out io.Writer) int {
	asked, err := handler.GetPluginArgs(args)
	if err != nil {
		return 1
	}
	path := "/" + asked.InitOptions.KeyResourceID
	log, err := os.OpenFile(path+".log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 1
	}
	defer log.Close()
	fmt.Fprintln(log, asked.MethodName)
	switch filepath.Base(path) {
	case "silent":
		fmt.Fprint(out, "not JSON at all")
		return 0
	case "empty":
		fmt.Fprint(out, "{}")
		return 0
	case "hanging":
		time.Sleep(time.Minute)
		return 1
	}
	_, err = handler.Dispatch(out, in, asked, &fileService{path: path})
	if err != nil {
		return 1
	}
	return 0
}

type fileService struct{ path string }

func (f *fileService) key() (signature.SignerVerifier, error) {
	der, err := os.ReadFile(f.path)
	if err != nil {
		return nil, fmt.Errorf("token 7 of slot 3:\x1b[31m\n no such key")
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	return signature.LoadSignerVerifier(key, crypto.SHA256)
}

func (f *fileService) PublicKey(opts ...signature.PublicKeyOption) (crypto.PublicKey, error) {
	key, err := f.key()
	if err != nil {
		return nil, err
	}
	return key.PublicKey(opts...)
}

func (f *fileService) SignMessage(message io.Reader, opts ...signature.SignOption) ([]byte, error) {
	key, err := f.key()
	if err != nil {
		return nil, err
	}
	return key.SignMessage(message, opts...)
}

func (f *fileService) VerifySignature(sig, message io.Reader, opts ...signature.VerifyOption) error {
	return errors.New("not asked for by kiln")
}

func (f *fileService) CreateKey(_ context.Context, algorithm string) (crypto.PublicKey, error) {
	if algorithm != "ecdsa-p256" {
		return nil, fmt.Errorf("algorithm %s", algorithm)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key.Public(), os.WriteFile(f.path, der, 0o600)
}

func (f *fileService) CryptoSigner(context.Context, func(error)) (crypto.Signer, crypto.SignerOpts, error) {
	return nil, nil, errors.New("not asked for by kiln")
}

func (f *fileService) SupportedAlgorithms() []string { return []string{"ecdsa-p256"} }
func (f *fileService) DefaultAlgorithm() string      { return "ecdsa-p256" }

// installPlugin puts the test program on PATH as the plugin of kilntest://, and
// returns the URI of a key.
func installPlugin(t *testing.T) func(key string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin, keys := t.TempDir(), t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "sigstore-kms-kilntest")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	return func(key string) string { return "kilntest:/" + filepath.Join(keys, key) }
}

func logOf(t *testing.T, uri string) []string {
	t.Helper()
	content, err := os.ReadFile("/" + strings.TrimPrefix(uri, "kilntest://") + ".log")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(content))
}

// A key behind a plugin is made, signs and is asked for its public half once.
func TestPluginKey(t *testing.T) {
	ctx, uri := context.Background(), installPlugin(t)("bake")
	public, made, err := CreateKey(ctx, uri)
	if err != nil || !made {
		t.Fatal(made, err)
	}
	again, made, err := CreateKey(ctx, uri)
	if err != nil || made || !bytes.Equal(public, again) {
		t.Fatal(made, err)
	}
	os.Remove("/" + strings.TrimPrefix(uri, "kilntest://") + ".log")

	s, err := LoadSigner(ctx, uri, func() ([]byte, error) { return nil, errors.New("asked for a password") })
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.PublicPEM(), public) {
		t.Error("another public key than was made")
	}
	m, image := newMemory(), imageOf("shop")
	if err := s.SignImage(ctx, m, shop, image); err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.VerifyImage(ctx, m, shop, image.Digest); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(logOf(t, uri), " "); got != "publicKey signMessage signMessage" {
		t.Errorf("asked the plugin: %s", got)
	}
}

func TestPluginFaults(t *testing.T) {
	uri := installPlugin(t)
	for key, want := range map[string]string{
		"none":   "read its public key: plugin returned error: token 7 of slot 3: [31m no such key",
		"silent": "the plugin's answer is not that of a sigstore KMS plugin",
		"empty":  "an answer that makes no sense",
	} {
		_, err := LoadSigner(context.Background(), uri(key), nil)
		if !errors.Is(err, ErrKeyService) || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s: %v", key, err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	start := time.Now()
	if _, err := LoadSigner(ctx, uri("hanging"), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hanging: %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("hanging: gave up after %v", took)
	}
}

func TestKeyURIs(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for uri, want := range map[string]error{
		"awskms:///alias/bake":  ErrKeyService, // no such plugin here
		"../evil://bake":        ErrKey,
		"x y://bake":            ErrKey,
		"hashivault://":         ErrKey,
		"hashivault://a/b":      ErrKey,
		"hashivault://a?v=1":    ErrKey,
		"://bake":               ErrKey,
		"hashivault://../a":     ErrKey,
		"openbao://transit\n/x": ErrKey,
	} {
		_, err := LoadSigner(context.Background(), uri, nil)
		if !errors.Is(err, want) {
			t.Errorf("%q: %v", uri, err)
		}
		if uri == "awskms:///alias/bake" && !strings.Contains(err.Error(), "sigstore-kms-awskms") {
			t.Errorf("%q: no hint what to install: %v", uri, err)
		}
	}
}
