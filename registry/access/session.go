package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Service is the name of the server in challenges and session tokens.
const Service = "kiln"

// SessionLifetime is how long a session token is taken.
const SessionLifetime = 5 * time.Minute

// sessionSkew is how much earlier than its issue a session begins, for replicas
// whose clock is behind.
const sessionSkew = 30 * time.Second

// maxCredential bounds a token or a password before anything looks into it, in
// bytes (FAULTS 17).
const maxCredential = 16 << 10

// sessionIssuer tells a session token from an ID token; no URL is like it.
const sessionIssuer = "kiln-session"

// Kinds of proof that a session was made of.
const (
	byUser      = "user"
	byRobot     = "robot"
	byIssuer    = "oidc"
	byAnonymous = "anonymous"
)

// proof is what a session is checked against at each use, so that it ends with
// what it was made of.
type proof struct {
	Kind string `json:"kind"`
	// Ref is the id of a robot token, or the print of a user's password hash.
	Ref string `json:"ref,omitempty"`
	// Grants of an ID token, which cannot be asked again.
	Grants []Grant `json:"grants,omitempty"`
}

// sessionClaims are what a session token says.
type sessionClaims struct {
	jwt.Claims
	proof
	Access scopes `json:"access"`
}

// sessions makes and reads session tokens. There is one key and one algorithm;
// what a token's header names besides is refused, not followed (FAULTS 16).
type sessions struct {
	key    []byte
	signer jose.Signer
	now    func() time.Time
}

// newSessions derives its own key, so that secret can serve elsewhere too.
func newSessions(secret []byte, now func() time.Time) (*sessions, error) {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("kiln session tokens v1"))
	key := mac.Sum(nil)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	return &sessions{key: key, signer: signer, now: now}, nil
}

// issue makes a session of id, which ends with its credential at the latest.
func (s *sessions) issue(id Identity, p proof, access scopes) (token string, issued, expires time.Time, err error) {
	issued = s.now().UTC().Truncate(time.Second)
	expires = issued.Add(SessionLifetime)
	if !id.Expires.IsZero() && id.Expires.Before(expires) {
		expires = id.Expires
	}
	token, err = jwt.Signed(s.signer).Claims(sessionClaims{
		Claims: jwt.Claims{
			Issuer: sessionIssuer, Subject: id.Name, Audience: jwt.Audience{Service}, ID: randomHex(16),
			Expiry: jwt.NewNumericDate(expires), NotBefore: jwt.NewNumericDate(issued.Add(-sessionSkew)), IssuedAt: jwt.NewNumericDate(issued),
		},
		proof: p, Access: access,
	}).Serialize()
	if err == nil && len(token) > maxCredential {
		err = errors.New("the grants and scopes are too many for a session")
	}
	return token, issued, expires, err
}

// parse reads a session token; errInvalid for what this key did not sign, and
// for what is over.
func (s *sessions) parse(text string) (sessionClaims, error) {
	if !isJWT(text) {
		return sessionClaims{}, errInvalid
	}
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil || !plainHeaders(token.Headers) {
		return sessionClaims{}, errInvalid
	}
	var c sessionClaims
	if err := token.Claims(s.key, &c); err != nil {
		return sessionClaims{}, errInvalid
	}
	if c.Expiry == nil || c.NotBefore == nil || c.IssuedAt == nil || c.Subject == "" || c.ID == "" || c.Access == nil {
		return sessionClaims{}, errInvalid
	}
	err = c.ValidateWithLeeway(jwt.Expected{Issuer: sessionIssuer, AnyAudience: jwt.Audience{Service}, Time: s.now()}, 0)
	if err != nil && !errors.Is(err, jwt.ErrIssuedInTheFuture) { // nbf has the say
		return sessionClaims{}, errInvalid
	}
	return c, nil
}

// plainHeaders refuses headers that would name a key: there is one.
func plainHeaders(headers []jose.Header) bool {
	if len(headers) != 1 {
		return false
	}
	h := headers[0]
	for name := range h.ExtraHeaders {
		if name != jose.HeaderType {
			return false
		}
	}
	return h.KeyID == "" && h.JSONWebKey == nil && h.Nonce == ""
}

var jwtText = pattern(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)

// isJWT tells a compact JWS of a size that may be looked at.
func isJWT(text string) bool { return len(text) <= maxCredential && jwtText().MatchString(text) }

// revive is the identity of a session now: that of what it was made of, if that
// still holds.
func (g *Gate) revive(ctx context.Context, c sessionClaims) (Identity, error) {
	id := Identity{Name: c.Subject, Expires: c.Expiry.Time(), narrow: &c.Access}
	switch c.Kind {
	case byUser:
		grants, err := g.users.current(c.Subject, c.Ref)
		if err != nil {
			return Identity{}, err
		}
		id.Grants = grants
	case byRobot:
		known, err := g.robots.load(ctx, c.Ref)
		if err != nil {
			return Identity{}, err
		}
		if known.identity().Name != c.Subject {
			return Identity{}, errInvalid
		}
		id.Grants = known.Grants
	case byIssuer:
		id.Grants = c.Grants
	case byAnonymous:
		id.Anonymous, id.Grants = true, g.anonymous
	default:
		return Identity{}, errInvalid
	}
	return id, nil
}
