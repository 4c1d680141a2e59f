package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// When keys of an issuer are fetched again.
const (
	keysFresh  = time.Hour        // after that, before they are used again
	keysStale  = 24 * time.Hour   // how long they are used while the issuer is down
	fetchPause = 10 * time.Second // between fetches, whatever tokens come
	maxKeys    = 100
)

// errUnreachable is of an issuer that does not answer, or not as one does.
var errUnreachable = errors.New("the token's issuer is out of reach")

// keys are the public keys of one issuer: whatever key a token names is looked
// up here or nowhere. It implements oidc.KeySet. Safe for concurrent use.
type keys struct {
	client *http.Client
	issuer string
	algs   []jose.SignatureAlgorithm
	now    func() time.Time

	mu      sync.Mutex // held while keys are fetched: all wait for the same
	url     string     // of the keys, once discovered
	set     []jose.JSONWebKey
	fetched time.Time // when set was
	tried   time.Time // to fetch
	failed  error     // what came of it
}

var _ oidc.KeySet = (*keys)(nil)

// VerifySignature implements oidc.KeySet. Where no key fits they are fetched
// again, in case they changed, at most every fetchPause.
func (k *keys) VerifySignature(ctx context.Context, text string) ([]byte, error) {
	token, err := jose.ParseSignedCompact(text, k.algs)
	if err != nil {
		return nil, errInvalid
	}
	for again := false; ; again = true {
		set, err := k.current(ctx, again)
		if err != nil {
			return nil, err
		}
		if payload, ok := verifyWith(token, set); ok {
			return payload, nil
		}
		if again {
			return nil, errInvalid
		}
	}
}

// verifyWith tries the keys that the token's key id names, or all for none. The
// header's own keys are never looked at (FAULTS 16).
func verifyWith(token *jose.JSONWebSignature, set []jose.JSONWebKey) ([]byte, bool) {
	if len(token.Signatures) != 1 {
		return nil, false
	}
	header := token.Signatures[0].Protected
	for _, key := range set {
		if header.KeyID != "" && key.KeyID != header.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := token.Verify(key.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// current is the set to verify with. changed asks for one that is newer than
// what the caller tried.
func (k *keys) current(ctx context.Context, changed bool) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	age := now.Sub(k.fetched)
	fresh := k.set != nil && age >= 0 && age < keysFresh
	paused := !k.tried.IsZero() && now.Sub(k.tried) >= 0 && now.Sub(k.tried) < fetchPause
	if !paused && (!fresh || changed) {
		k.fetch(ctx, now)
	}
	if k.set == nil || k.now().Sub(k.fetched) > keysStale {
		if k.failed == nil {
			k.failed = errors.New("its keys are too old")
		}
		return nil, fmt.Errorf("%w: %w", errUnreachable, k.failed)
	}
	return k.set, nil
}

// fetch asks for the keys, and first for where they are.
func (k *keys) fetch(ctx context.Context, now time.Time) {
	ctx, cancel := detached(ctx)
	defer cancel()
	k.tried = now
	if k.url, k.failed = k.discover(ctx); k.failed != nil {
		return
	}
	set, err := k.download(ctx)
	if k.failed = err; err == nil {
		k.set, k.fetched = set, now
	}
}

// discover reads the issuer's document (OpenID Connect Discovery 1.0), which
// must say that it is the issuer's.
func (k *keys) discover(ctx context.Context) (string, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, k.client), k.issuer)
	if err != nil {
		return "", err
	}
	var doc struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&doc); err != nil || doc.Keys == "" {
		return "", fmt.Errorf("its discovery document has no jwks_uri: %v", err)
	}
	return doc.Keys, nil
}

func (k *keys) download(ctx context.Context) ([]jose.JSONWebKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("its keys answer %d", resp.StatusCode)
	}
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return parseKeys(content)
}

// parseKeys keeps the public keys for signatures. What is not understood is
// left out, as an issuer may have keys of a newer kind.
func parseKeys(content []byte) ([]jose.JSONWebKey, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(content, &doc); err != nil {
		return nil, fmt.Errorf("its keys are no JSON: %w", err)
	}
	set := []jose.JSONWebKey{}
	for _, raw := range doc.Keys[:min(len(doc.Keys), maxKeys)] {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil || !key.Valid() || key.Use != "" && key.Use != "sig" {
			continue
		}
		switch public := key.Key.(type) {
		case *rsa.PublicKey:
			if public.N.BitLen() < 2048 || public.N.BitLen() > 8192 {
				continue
			}
		case *ecdsa.PublicKey, ed25519.PublicKey:
		default:
			continue // a shared secret, or a private key that leaked
		}
		set = append(set, key)
	}
	if len(set) == 0 {
		return nil, errors.New("it has no key for signatures")
	}
	return set, nil
}
