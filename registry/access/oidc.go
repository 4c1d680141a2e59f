package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// tokenSkew is how far an issuer's clock may be from ours.
const tokenSkew = time.Minute

// issuer verifies the ID tokens of one provider.
type issuer struct {
	Issuer
	keys     *keys
	verifier *oidc.IDTokenVerifier
	now      func() time.Time
}

// asymmetric are the algorithms that an issuer may be told to take: of none of
// them is a public key a secret.
func asymmetric() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

var issuerName = pattern(`^[a-z0-9][a-z0-9-]{0,31}$`)

// check refuses an issuer that would take more than its config says.
func (i Issuer) check() error {
	if !issuerName().MatchString(i.Name) {
		return errors.New("its name is not made of lower-case letters, digits and -")
	}
	if _, err := reachOf(i.URL, i.AllowPrivate); err != nil {
		return err
	}
	if i.Audience == "" {
		return errors.New("it needs an audience: without one every token of the issuer, made for anybody, would be taken")
	}
	for _, a := range i.Algorithms {
		if !slices.Contains(asymmetric(), a) {
			return fmt.Errorf("unknown algorithm %q: want some of %s", clip(a), strings.Join(asymmetric(), ", "))
		}
	}
	if i.MaxAge < 0 {
		return errors.New("a negative max age")
	}
	if len(i.Roles) == 0 {
		return errors.New("without roles its tokens may do nothing")
	}
	for n, r := range i.Roles {
		if err := r.check(); err != nil {
			return fmt.Errorf("role %d: %w", n+1, err)
		}
	}
	return nil
}

func (r Role) check() error {
	if len(r.Claims) == 0 {
		return errors.New("it needs claims: without any every token of the issuer would have it")
	}
	for name, pattern := range r.Claims {
		if name == "" {
			return errors.New("a claim without a name")
		}
		if err := checkPattern(pattern); err != nil {
			return fmt.Errorf("claim %s: %w", name, err)
		}
	}
	if len(r.Grants) == 0 {
		return errors.New("it has no grants")
	}
	return checkGrants(r.Grants)
}

// newIssuer takes a config that was checked, and asks nobody yet.
func newIssuer(cfg Issuer, now func() time.Time) *issuer {
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = DefaultAlgorithms()
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = DefaultMaxAge
	}
	allowed, err := reachOf(cfg.URL, cfg.AllowPrivate)
	if err != nil {
		allowed = publicOnly // cannot be: it was checked
	}
	set := &keys{client: fetcher(allowed, cfg.RootCAs), issuer: cfg.URL, now: now}
	for _, a := range cfg.Algorithms {
		set.algs = append(set.algs, jose.SignatureAlgorithm(a))
	}
	return &issuer{Issuer: cfg, keys: set, now: now, verifier: oidc.NewVerifier(cfg.URL, set, &oidc.Config{
		ClientID: cfg.Audience, SupportedSigningAlgs: cfg.Algorithms,
		SkipExpiryCheck: true, // times is stricter
	})}
}

// times of a token.
type times struct {
	Expires   *float64 `json:"exp"`
	Issued    *float64 `json:"iat"`
	NotBefore *float64 `json:"nbf"`
}

// check wants a token that has begun, has not ended and is not old.
func (t times) check(now time.Time, maxAge time.Duration) (expires time.Time, err error) {
	at := func(seconds *float64) time.Time { return time.Unix(int64(min(max(*seconds, 0), 1<<40)), 0) }
	if t.Expires == nil || t.Issued == nil {
		return time.Time{}, errors.New("it has no exp or no iat")
	}
	switch {
	case !now.Before(at(t.Expires).Add(tokenSkew)):
		return time.Time{}, errors.New("it has expired")
	case at(t.Issued).After(now.Add(tokenSkew)), t.NotBefore != nil && at(t.NotBefore).After(now.Add(tokenSkew)):
		return time.Time{}, errors.New("it is not valid yet")
	case now.Sub(at(t.Issued)) > maxAge:
		return time.Time{}, fmt.Errorf("it was issued more than %v ago", maxAge)
	}
	expires = at(t.Expires).Add(tokenSkew)
	if old := at(t.Issued).Add(maxAge); old.Before(expires) {
		expires = old
	}
	return expires, nil
}

// loginError is of a credential that is refused, with a reason that its bearer
// may know.
type loginError struct{ reason string }

func (e *loginError) Error() string { return "invalid credentials: " + e.reason }

func (e *loginError) Is(target error) bool { return target == errInvalid }

// identify is the identity of an ID token of this issuer.
func (i *issuer) identify(ctx context.Context, text string) (Identity, proof, error) {
	if _, err := i.keys.current(ctx, false); err != nil {
		return Identity{}, proof{}, err
	}
	token, err := i.verifier.Verify(ctx, text)
	if err != nil {
		// go-oidc's errors may quote the token.
		return Identity{}, proof{}, &loginError{"the ID token is not one of " + i.Name + " for this server"}
	}
	var t times
	if err := token.Claims(&t); err != nil {
		return Identity{}, proof{}, &loginError{"the ID token's times are malformed"}
	}
	expires, err := t.check(i.now(), i.MaxAge)
	if err != nil {
		return Identity{}, proof{}, &loginError{"the ID token: " + err.Error()}
	}
	if !isSubject(token.Subject) {
		return Identity{}, proof{}, &loginError{"the ID token's subject is empty, too long or not text"}
	}
	var raw json.RawMessage
	if err := token.Claims(&raw); err != nil {
		return Identity{}, proof{}, errInvalid
	}
	grants, err := i.grants(raw)
	if err != nil || len(grants) == 0 {
		return Identity{}, proof{}, &loginError{"no role of the issuer " + i.Name + " fits the claims of the ID token"}
	}
	id := Identity{Name: "oidc:" + i.Name + ":" + token.Subject, Grants: grants, Expires: expires}
	return id, proof{Kind: byIssuer, Grants: grants}, nil
}

// isSubject takes what can stand in a record and a log as it is.
func isSubject(s string) bool {
	return s != "" && len(s) <= 255 && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0
}

// grants are those of all roles whose claims fit.
func (i *issuer) grants(payload []byte) ([]Grant, error) {
	claims := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if err := d.Decode(&claims); err != nil {
		return nil, err
	}
	var grants []Grant
	for _, r := range i.Roles {
		if r.fits(claims) {
			grants = append(grants, r.Grants...)
		}
	}
	return grants, nil
}

// fits says whether all claims of a role match.
func (r Role) fits(claims map[string]any) bool {
	for name, pattern := range r.Claims {
		if !fitsClaim(pattern, claims[name]) {
			return false
		}
	}
	return len(r.Claims) > 0
}

func fitsClaim(pattern string, value any) bool {
	switch v := value.(type) {
	case string:
		ok, err := doublestar.Match(pattern, v)
		return ok && err == nil && v != ""
	case bool:
		return pattern == fmt.Sprint(v)
	case json.Number:
		return pattern == v.String()
	case []any:
		return slices.ContainsFunc(v, func(one any) bool {
			s, ok := one.(string)
			return ok && fitsClaim(pattern, s)
		})
	}
	return false
}
