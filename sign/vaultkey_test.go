package sign

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// transit answers as Vault's transit engine does, for what a real one does not
// do when asked; what it does is tested with a real one (TestVault).
type transit struct {
	key            *ecdsa.PrivateKey
	public         string // of the key as it is shown
	kind           string
	reads, signs   atomic.Int64
	token          string
	onRead, onSign http.HandlerFunc // instead of an answer
	done           chan struct{}    // the test is over
}

const transitToken = "hvs.not-to-be-seen"

func newTransit(t *testing.T) *transit {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tr := &transit{key: key, public: string(publicFile(t, key.Public())), kind: "P-256", token: transitToken, done: make(chan struct{})}
	s := httptest.NewServer(tr)
	t.Cleanup(func() { close(tr.done); s.Close() })
	t.Setenv("VAULT_ADDR", s.URL)
	t.Setenv("VAULT_TOKEN", transitToken)
	return tr
}

func (tr *transit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Vault-Token") != tr.token {
		w.WriteHeader(http.StatusForbidden)
		answer(w, map[string]any{"errors": []string{"permission denied"}})
		return
	}
	switch {
	case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v1/transit/keys/"):
		tr.reads.Add(1)
		if tr.onRead != nil {
			tr.onRead(w, r)
			return
		}
		answer(w, map[string]any{"data": map[string]any{
			"latest_version": 1,
			"keys":           map[string]any{"1": map[string]any{"name": tr.kind, "public_key": tr.public}},
		}})
	case strings.HasPrefix(r.URL.Path, "/v1/transit/sign/"):
		tr.signs.Add(1)
		if tr.onSign != nil {
			tr.onSign(w, r)
			return
		}
		tr.sign(w, r)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (tr *transit) sign(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Input []byte }
	err := json.NewDecoder(r.Body).Decode(&asked)
	if err != nil {
		panic(err)
	}
	sig, err := ecdsa.SignASN1(rand.Reader, tr.key, asked.Input)
	if err != nil {
		panic(err)
	}
	answer(w, map[string]any{"data": map[string]any{"signature": "vault:v1:" + base64.StdEncoding.EncodeToString(sig)}})
}

func answer(w http.ResponseWriter, body any) {
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(err)
	}
}

func (tr *transit) hang(http.ResponseWriter, *http.Request) { <-tr.done }

func refuse(status int, words string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		answer(w, map[string]any{"errors": []string{words}})
	}
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) }
}

// The public half is fetched once, however often the key signs.
func TestVaultKeyIsReadOnce(t *testing.T) {
	tr := newTransit(t)
	s, err := LoadSigner(context.Background(), "hashivault://bake", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		sig, err := s.sign(context.Background(), []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Verifier().verify(sig, []byte("x"), time.Time{}, ""); err != nil {
			t.Fatal(err)
		}
		_ = s.PublicPEM()
	}
	if tr.reads.Load() != 1 || tr.signs.Load() != 5 {
		t.Errorf("%d reads and %d signatures for 5", tr.reads.Load(), tr.signs.Load())
	}
}

// FAULTS 21: what Vault answers is told in one line, with what to do and
// without the token.
func TestVaultFaults(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	empty := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	other := newTransit(t)
	for what, c := range map[string]struct {
		set  func(*transit)
		is   error
		want string
	}{
		"token refused":       {func(tr *transit) { tr.token = "another" }, ErrKeyService, "Vault answers 403 (permission denied); the token needs read"},
		"no such key":         {func(tr *transit) { tr.onRead = refuse(404, "") }, ErrKeyService, "no such key; kiln keygen --kms"},
		"no transit engine":   {func(tr *transit) { tr.onRead = refuse(404, "no handler for route") }, ErrKeyService, "no such key"},
		"sealed":              {func(tr *transit) { tr.onRead = refuse(503, "Vault is sealed") }, ErrKeyService, "sealed"},
		"garbage":             {func(tr *transit) { tr.onRead = says("<html>\x1b[2J") }, ErrKeyService, "read its public key"},
		"another shape":       {func(tr *transit) { tr.onRead = says(`{"data":{"keys":[],"latest_version":1}}`) }, ErrKeyService, "read its public key"},
		"no answer":           {func(tr *transit) { tr.onRead = tr.hang }, ErrKeyService, "deadline exceeded"},
		"no key in it":        {func(tr *transit) { tr.public = "PEM" }, ErrKeyService, "read its public key"},
		"P-384":               {func(tr *transit) { tr.public = string(publicFile(t, p384.Public())) }, ErrKey, "P-256"},
		"Ed25519":             {func(tr *transit) { tr.public, tr.kind = base64.StdEncoding.EncodeToString(ed), "ed25519" }, ErrKey, "P-256"},
		"signing refused":     {func(tr *transit) { tr.onSign = refuse(403, "permission denied") }, ErrKeyService, "sign: Vault answers 403"},
		"nothing signed":      {func(tr *transit) { tr.onSign = empty }, ErrKeyService, "an answer that makes no sense"},
		"signature hangs":     {func(tr *transit) { tr.onSign = tr.hang }, ErrKeyService, "deadline exceeded"},
		"signature is none":   {func(tr *transit) { tr.onSign = says(`{"data":{"signature":"vault:v1:!"}}`) }, ErrKeyService, "sign: "},
		"another key signs":   {func(tr *transit) { tr.key = other.key }, ErrKeyService, "another key than it showed"},
		"a long, loud answer": {func(tr *transit) { tr.onRead = refuse(400, strings.Repeat("x\n", 1<<20)) }, ErrKeyService, "Vault answers 400"},
	} {
		tr := newTransit(t)
		c.set(tr)
		patience := time.Minute
		if c.want == "deadline exceeded" {
			patience = time.Second
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		s, err := LoadSigner(ctx, "hashivault://bake", nil)
		if err == nil {
			_, err = s.sign(ctx, []byte("x"))
		}
		cancel()
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
			continue
		}
		if strings.Contains(err.Error(), transitToken) || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 2*maxRemoteWords {
			t.Errorf("%s: shows %q", what, err)
		}
	}
}

func TestVaultOutOfReach(t *testing.T) {
	newTransit(t)
	t.Setenv("VAULT_ADDR", "http://me:pass-word@127.0.0.1:1")
	_, err := LoadSigner(context.Background(), "hashivault://bake", nil)
	if !errors.Is(err, ErrKeyService) || !strings.Contains(err.Error(), "cannot be reached") || strings.Contains(err.Error(), "pass-word") {
		t.Errorf("no server: %v", err)
	}
	t.Setenv("VAULT_ADDR", "")
	if _, err := LoadSigner(context.Background(), "hashivault://bake", nil); !errors.Is(err, ErrKeyService) || !strings.Contains(err.Error(), "VAULT_ADDR is not set") {
		t.Errorf("no address: %v", err)
	}
	t.Setenv("VAULT_ADDR", "::not a URL")
	if _, err := LoadSigner(context.Background(), "hashivault://bake", nil); !errors.Is(err, ErrKeyService) {
		t.Errorf("no URL: %v", err)
	}
	t.Setenv("VAULT_ADDR", "http://127.0.0.1:1")
	t.Setenv("VAULT_TOKEN", "")
	t.Setenv("HOME", t.TempDir())
	if _, err := LoadSigner(context.Background(), "hashivault://bake", nil); !errors.Is(err, ErrKeyService) || !strings.Contains(err.Error(), "VAULT_TOKEN") {
		t.Errorf("no token: %v", err)
	}
}

// A long-lived signer goes on when the token was replaced where it came from.
func TestVaultTokenRenewed(t *testing.T) {
	tr, home := newTransit(t), t.TempDir()
	t.Setenv("VAULT_TOKEN", "")
	t.Setenv("HOME", home)
	login := func(token string) {
		tr.token = token
		if err := os.WriteFile(filepath.Join(home, ".vault-token"), []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	login("first")
	s, err := LoadSigner(context.Background(), "hashivault://bake", nil)
	if err != nil {
		t.Fatal(err)
	}
	login("second")
	if _, err := s.sign(context.Background(), []byte("x")); err != nil {
		t.Errorf("with the renewed token: %v", err)
	}
	tr.token = "third"
	if _, err := s.sign(context.Background(), []byte("x")); !errors.Is(err, ErrKeyService) {
		t.Errorf("with a token that expired: %v", err)
	}
}
