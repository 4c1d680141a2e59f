package access

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"kiln/registry/store"
)

// Config is what New needs. Whatever is missing means that nobody gets in that
// way.
type Config struct {
	// Pointers of the store, where the robot tokens are. Required.
	Pointers store.Pointers
	// Htpasswd is a file of users with bcrypt hashes, "" for none. It is read
	// again when it changes.
	Htpasswd string
	// Users are the grants of the users of Htpasswd; one without may log in and
	// do nothing.
	Users map[string][]Grant
	// AnonymousPull are patterns of the images that anybody may pull.
	AnonymousPull []string
	// Issuers of OIDC ID tokens.
	Issuers []Issuer
	// SessionKey signs the session tokens: at least MinSessionKey bytes, the
	// same for all replicas. Without one each process makes its own, and
	// clients that reach another replica log in again.
	SessionKey []byte
	// URL is what clients call the server: https://registry.example.com. Without
	// it the token endpoint is named by a request's Host, over https unless that
	// is this machine.
	URL string
	// TrustedProxies are the peers whose X-Forwarded-For is believed, to count
	// failed logins by address. None by default.
	TrustedProxies []netip.Prefix
	Now            func() time.Time // time.Now if nil
	Log            *slog.Logger     // silent if nil; never sees a credential
}

// MinSessionKey is the least size of a session key, in bytes.
const MinSessionKey = 32

// Issuer is an OIDC provider whose ID tokens are taken.
type Issuer struct {
	// Name is its alias in identities: lower-case letters, digits and "-".
	Name string
	// URL is the issuer as its tokens name it; https, or http on loopback.
	URL string
	// Audience must be in a token's aud. Required.
	Audience string
	// Algorithms of signatures, of RS256, RS384, RS512, PS256, PS384, PS512,
	// ES256, ES384, ES512 and EdDSA; DefaultAlgorithms if empty.
	Algorithms []string
	// MaxAge bounds the time since a token was issued; DefaultMaxAge if zero.
	MaxAge time.Duration
	// AllowPrivate lets the issuer have addresses of private networks, and
	// loopback. Link-local ones, where clouds keep their metadata, never.
	AllowPrivate bool
	// RootCAs verify the issuer; the system's if nil.
	RootCAs *x509.CertPool
	Roles   []Role
}

// DefaultMaxAge is how long after its issue an ID token is taken.
const DefaultMaxAge = 24 * time.Hour

// DefaultAlgorithms are taken of an issuer that is not told others.
func DefaultAlgorithms() []string { return []string{"RS256", "ES256"} }

// Role gives grants to the tokens whose claims fit.
type Role struct {
	// Claims are patterns by claim; all must match, and a list matches by one
	// of its elements. Patterns are doublestar's: * stops at a slash. A role
	// without claims is an error: it would let in whoever the issuer knows.
	Claims map[string]string
	Grants []Grant
}

// LogValue keeps the session key out of logs.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(slog.String("url", c.URL), slog.Int("users", len(c.Users)), slog.Int("issuers", len(c.Issuers)))
}

// check refuses what would mean something else than it says.
func (c Config) check() error {
	if c.Pointers == nil {
		return errors.New("pointers are required")
	}
	if n := len(c.SessionKey); n != 0 && n < MinSessionKey {
		return fmt.Errorf("a session key of %d bytes: at least %d", n, MinSessionKey)
	}
	if err := checkServerURL(c.URL); err != nil {
		return err
	}
	if len(c.Users) > 0 && c.Htpasswd == "" {
		return errors.New("users have grants, and there is no htpasswd file that they could log in with")
	}
	for name, grants := range c.Users {
		if err := checkGrants(grants); err != nil {
			return fmt.Errorf("user %s: %w", name, err)
		}
	}
	for _, p := range c.AnonymousPull {
		if err := checkPattern(p); err != nil {
			return fmt.Errorf("anonymous pull: %w", err)
		}
	}
	names := map[string]bool{}
	urls := map[string]bool{}
	for _, i := range c.Issuers {
		if err := i.check(); err != nil {
			return fmt.Errorf("issuer %q: %w", i.Name, err)
		}
		if names[i.Name] || urls[i.URL] {
			return fmt.Errorf("issuer %q is there twice, by name or by url", i.Name)
		}
		names[i.Name], urls[i.URL] = true, true
	}
	return nil
}

// checkServerURL takes a scheme and a host, and nothing else.
func checkServerURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the server's URL is not https://host[:port]")
	}
	return nil
}
