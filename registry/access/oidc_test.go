package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// testKeys are made once: an RSA key takes a moment.
var testRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// provider is an issuer of ID tokens on loopback.
type provider struct {
	testing.TB
	*httptest.Server
	key    *rsa.PrivateKey
	kid    atomic.Value // string
	asked  atomic.Int64 // for keys
	broken atomic.Bool
	serve  func(w http.ResponseWriter, r *http.Request) bool // first, if set
	clock  *clock
}

func newProvider(t testing.TB, c *clock) *provider {
	t.Helper()
	key, err := testRSA()
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{TB: t, key: key, clock: c}
	p.kid.Store("one")
	p.Server = httptest.NewServer(http.HandlerFunc(p.answer))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) answer(w http.ResponseWriter, r *http.Request) {
	if p.broken.Load() {
		http.Error(w, "down", http.StatusBadGateway)
		return
	}
	if p.serve != nil && p.serve(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		json.NewEncoder(w).Encode(map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}})
	case "/keys":
		p.asked.Add(1)
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: []byte("a shared secret that leaked here"), KeyID: "oct", Algorithm: "HS256"},
			{Key: p.key.Public(), KeyID: p.kid.Load().(string), Use: "sig"},
			{Key: p.key.Public(), KeyID: "encryption", Use: "enc"},
		}})
	default:
		http.NotFound(w, r)
	}
}

// claims that are taken.
func (p *provider) claims() map[string]any {
	now := p.clock.Now()
	return map[string]any{
		"iss": p.URL, "aud": "kiln.example.com", "sub": "repo:acme/shop:ref:refs/heads/main",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"repository": "acme/shop", "ref": "refs/heads/main", "groups": []string{"dev", "release"}, "protected": true, "run": 7,
	}
}

// sign makes a token of claims, changed.
func (p *provider) sign(alg jose.SignatureAlgorithm, key any, opts *jose.SignerOptions, changes ...map[string]any) string {
	p.Helper()
	claims := p.claims()
	for _, c := range changes {
		maps.Copy(claims, c)
	}
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		p.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		p.Fatal(err)
	}
	return text
}

func kid(name string) *jose.SignerOptions { return (&jose.SignerOptions{}).WithHeader("kid", name) }

func (p *provider) token(changes ...map[string]any) string {
	p.Helper()
	return p.sign(jose.RS256, p.key, kid(p.kid.Load().(string)), changes...)
}

func (p *provider) issuer() Issuer {
	return Issuer{Name: "ci", URL: p.URL, Audience: "kiln.example.com", Roles: []Role{
		{Claims: map[string]string{"repository": "acme/*", "ref": "refs/heads/main"}, Grants: []Grant{grant("pull push", "acme/*")}},
		{Claims: map[string]string{"groups": "release", "protected": "true", "run": "7"}, Grants: []Grant{grant("attest", "acme/*")}},
		{Claims: map[string]string{"groups": "admins"}, Grants: []Grant{grant("admin", "**")}},
		{Claims: map[string]string{"absent": "**"}, Grants: []Grant{grant("admin", "**")}},
	}}
}

func (p *provider) verifier(change func(*Issuer)) *issuer {
	p.Helper()
	cfg := p.issuer()
	if change != nil {
		change(&cfg)
	}
	if err := cfg.check(); err != nil {
		p.Fatal(err)
	}
	return newIssuer(cfg, p.clock.Now)
}

func TestIDToken(t *testing.T) {
	p := newProvider(t, newClock())
	i := p.verifier(nil)
	if p.asked.Load() != 0 {
		t.Error("the issuer is asked before a token comes")
	}
	id, pr, err := i.identify(t.Context(), p.token())
	if err != nil || id.Name != "oidc:ci:repo:acme/shop:ref:refs/heads/main" || pr.Kind != byIssuer || len(pr.Grants) != 2 {
		t.Fatalf("%+v %+v: %v", id, pr, err)
	}
	if !allows(id.Grants, Push, "acme/shop", "") || !allows(id.Grants, Attest, "acme/shop", "") || allows(id.Grants, Admin, EveryImage, "") {
		t.Errorf("grants %v", id.Grants)
	}
	for name, text := range map[string]string{
		"audience among others": p.token(map[string]any{"aud": []string{"other", "kiln.example.com"}}),
		"without a key id":      p.sign(jose.RS256, p.key, nil),
		"clock ahead":           p.token(map[string]any{"iat": p.clock.Now().Add(50 * time.Second).Unix(), "nbf": p.clock.Now().Add(50 * time.Second).Unix()}),
		"just expired":          p.token(map[string]any{"exp": p.clock.Now().Add(-50 * time.Second).Unix()}),
		"no nbf":                p.token(map[string]any{"nbf": nil}),
	} {
		if _, _, err := i.identify(t.Context(), text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := p.asked.Load(); n != 1 {
		t.Errorf("keys were fetched %d times", n)
	}
	id, _, err = i.identify(t.Context(), p.token(map[string]any{"groups": "dev"}))
	if err != nil || allows(id.Grants, Attest, "acme/shop", "") {
		t.Errorf("%+v: %v", id, err)
	}
}

// FAULTS 16, 17: tokens that were made for, by or of somebody else.
func TestForgedIDTokens(t *testing.T) {
	p := newProvider(t, newClock())
	i := p.verifier(nil)
	now := p.clock.Now()
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(p.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	payload, err := json.Marshal(p.claims())
	if err != nil {
		t.Fatal(err)
	}
	b := base64.RawURLEncoding
	attacks := map[string]string{
		"another audience":        p.token(map[string]any{"aud": "other"}),
		"no audience":             p.token(map[string]any{"aud": nil}),
		"empty audience":          p.token(map[string]any{"aud": ""}),
		"audience as a prefix":    p.token(map[string]any{"aud": "kiln.example.com.evil"}),
		"another issuer":          p.token(map[string]any{"iss": "https://evil.example.com"}),
		"no issuer":               p.token(map[string]any{"iss": nil}),
		"expired":                 p.token(map[string]any{"exp": now.Add(-time.Minute).Unix()}),
		"no end":                  p.token(map[string]any{"exp": nil}),
		"no issue":                p.token(map[string]any{"iat": nil}),
		"old":                     p.token(map[string]any{"iat": now.Add(-25 * time.Hour).Unix()}),
		"not yet":                 p.token(map[string]any{"nbf": now.Add(2 * time.Minute).Unix()}),
		"issued later":            p.token(map[string]any{"iat": now.Add(2 * time.Minute).Unix()}),
		"no subject":              p.token(map[string]any{"sub": nil}),
		"subject with a newline":  p.token(map[string]any{"sub": "a\nb"}),
		"huge subject":            p.token(map[string]any{"sub": strings.Repeat("a", 300)}),
		"no role":                 p.token(map[string]any{"repository": "evil/shop", "groups": nil}),
		"role of a deeper name":   p.token(map[string]any{"repository": "acme/shop/x", "groups": nil}),
		"role by a nested value":  p.token(map[string]any{"repository": map[string]any{"acme/shop": "acme/shop"}, "groups": nil}),
		"half of a role":          p.token(map[string]any{"ref": "refs/heads/other", "groups": nil}),
		"HS256 with public key":   p.sign(jose.HS256, publicPEM, kid("one")),
		"HS256 with its DER":      p.sign(jose.HS256, public, kid("one")),
		"HS256 with the leak":     p.sign(jose.HS256, []byte("a shared secret that leaked here"), kid("oct")),
		"ES256 with its jwk":      p.sign(jose.ES256, foreign, &jose.SignerOptions{EmbedJWK: true}),
		"its jwk under our kid":   p.sign(jose.ES256, foreign, (&jose.SignerOptions{EmbedJWK: true}).WithHeader("kid", "one")),
		"a foreign key":           p.sign(jose.ES256, foreign, kid("one")),
		"jku":                     p.sign(jose.ES256, foreign, kid("one").WithHeader("jku", p.URL+"/keys")),
		"key for encryption":      p.sign(jose.RS256, p.key, kid("encryption")),
		"an algorithm not listed": p.sign(jose.RS512, p.key, kid("one")),
		"none":                    b.EncodeToString([]byte(`{"alg":"none"}`)) + "." + b.EncodeToString(payload) + ".AA",
		"none, unsigned":          b.EncodeToString([]byte(`{"alg":"none"}`)) + "." + b.EncodeToString(payload) + ".",
		"x5c":                     b.EncodeToString([]byte(`{"alg":"RS256","x5c":["`+base64.StdEncoding.EncodeToString(public)+`"]}`)) + "." + b.EncodeToString(payload) + ".AA",
	}
	for name, text := range attacks {
		id, _, err := i.identify(t.Context(), text)
		if !errors.Is(err, errInvalid) {
			t.Errorf("%s: %+v, %v", name, id, err)
		} else if strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error shows the token: %v", name, err)
		}
	}
}

// An audience that is not set, a role that fits all: errors, not permissions.
func TestIssuerConfig(t *testing.T) {
	p := newProvider(t, newClock())
	for text, change := range map[string]func(*Issuer){
		"needs an audience":  func(i *Issuer) { i.Audience = "" },
		"not https":          func(i *Issuer) { i.URL = "http://idp.example.com" },
		"its name":           func(i *Issuer) { i.Name = "a:b" },
		"unknown algorithm":  func(i *Issuer) { i.Algorithms = []string{"HS256"} },
		`algorithm "none"`:   func(i *Issuer) { i.Algorithms = []string{"none"} },
		"without roles":      func(i *Issuer) { i.Roles = nil },
		"needs claims":       func(i *Issuer) { i.Roles[0].Claims = nil },
		"a claim without":    func(i *Issuer) { i.Roles[0].Claims = map[string]string{"": "x"} },
		"claim sub: invalid": func(i *Issuer) { i.Roles[0].Claims = map[string]string{"sub": ""} },
		"no grants":          func(i *Issuer) { i.Roles[0].Grants = nil },
		"role 1: a grant":    func(i *Issuer) { i.Roles[0].Grants = []Grant{{}} },
		"a negative max age": func(i *Issuer) { i.MaxAge = -1 },
	} {
		cfg := p.issuer()
		change(&cfg)
		if err := cfg.check(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %s", err, text)
		}
	}
}

// Keys that the issuer changed are found; what tokens name does not make us ask
// at their pace.
func TestKeyRotation(t *testing.T) {
	c := newClock()
	p := newProvider(t, c)
	i := p.verifier(nil)
	if _, _, err := i.identify(t.Context(), p.token()); err != nil {
		t.Fatal(err)
	}
	p.kid.Store("two")
	rotated := p.token()
	c.Add(fetchPause)
	if _, _, err := i.identify(t.Context(), rotated); err != nil {
		t.Errorf("a new key: %v", err)
	}
	asked := p.asked.Load()
	for range 100 {
		i.identify(t.Context(), p.sign(jose.RS256, p.key, kid("junk")))
	}
	if n := p.asked.Load() - asked; n > 1 {
		t.Errorf("100 tokens of unknown keys make us ask %d times", n)
	}
	p.broken.Store(true)
	c.Add(keysFresh)
	if _, _, err := i.identify(t.Context(), p.token()); err != nil {
		t.Errorf("the issuer is down, and its keys are an hour old: %v", err)
	}
	c.Add(keysStale)
	if _, _, err := i.identify(t.Context(), p.token()); !errors.Is(err, errUnreachable) {
		t.Errorf("keys of yesterday: %v", err)
	}
	p.broken.Store(false)
	c.Add(fetchPause)
	if _, _, err := i.identify(t.Context(), p.token()); err != nil {
		t.Errorf("the issuer is back: %v", err)
	}
}

// FAULTS 18: discovery that leads elsewhere.
func TestHostileIssuers(t *testing.T) {
	var inside atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inside.Add(1) }))
	defer target.Close()
	document := func(doc string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/.well-known") {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(strings.ReplaceAll(doc, "SELF", "http://"+r.Host)))
				return true
			}
			return false
		}
	}
	for name, serve := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"redirected discovery": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, target.URL, http.StatusFound)
			return true
		},
		"redirected keys": func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/keys" {
				http.Redirect(w, r, target.URL, http.StatusFound)
			}
			return r.URL.Path == "/keys"
		},
		"keys at the metadata service": document(`{"issuer":"SELF","jwks_uri":"http://169.254.169.254/keys"}`),
		"keys on a private network":    document(`{"issuer":"SELF","jwks_uri":"https://10.255.255.1/keys"}`),
		"keys in a file":               document(`{"issuer":"SELF","jwks_uri":"file:///etc/passwd"}`),
		"no keys":                      document(`{"issuer":"SELF"}`),
		"another issuer's document":    document(`{"issuer":"https://other.example.com","jwks_uri":"SELF/keys"}`),
		"no document":                  document(`<html>`),
		"a large document": func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			for range 40 {
				_, _ = w.Write([]byte(`{"issuer":"` + strings.Repeat("x", 1<<16)))
			}
			return true
		},
		"no key that signs": func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/keys" {
				_, _ = w.Write([]byte(`{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"new"},null]}`))
			}
			return r.URL.Path == "/keys"
		},
	} {
		p := newProvider(t, newClock())
		p.serve = serve
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if id, _, err := p.verifier(nil).identify(ctx, p.token()); !errors.Is(err, errUnreachable) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		cancel()
	}
	if inside.Load() != 0 {
		t.Errorf("asked inside %d times", inside.Load())
	}
	// An issuer with a public name that resolves to this machine.
	p := newProvider(t, newClock())
	i := p.verifier(func(cfg *Issuer) { cfg.URL = "https://idp.example.com" })
	i.keys.client = fetcher(publicOnly, nil)
	i.keys.issuer = strings.Replace(p.URL, "http://127.0.0.1", "https://localhost", 1)
	if _, _, err := i.identify(t.Context(), p.token()); !errors.Is(err, errUnreachable) || p.asked.Load() != 0 {
		t.Errorf("a name that leads here: %v", err)
	}
}
