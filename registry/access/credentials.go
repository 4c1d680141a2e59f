package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
)

// credentials are what a request presents; both empty for nothing. user is
// empty for a bearer token.
type credentials struct {
	user, secret string
	bearer       bool
}

// LogValue keeps the secret out of logs.
func (c credentials) LogValue() slog.Value { return slog.StringValue(loggedName(c.user)) }

// present says whether there are any.
func (c credentials) present() bool { return c.bearer || c.user != "" || c.secret != "" }

// parseAuthorization reads a request's Authorization header: Basic (RFC 7617)
// or Bearer (RFC 6750). errInvalid for everything else, and for what is too
// large to be either (FAULTS 17).
func parseAuthorization(h http.Header) (credentials, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return credentials{}, nil
	}
	scheme, rest, ok := strings.Cut(values[0], " ")
	if !ok || len(values) > 1 || len(rest) > maxCredential {
		return credentials{}, errInvalid
	}
	rest = strings.Trim(rest, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer") && rest != "":
		return credentials{secret: rest, bearer: true}, nil
	case strings.EqualFold(scheme, "Basic"):
		text, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return credentials{}, errInvalid
		}
		user, secret, ok := strings.Cut(string(text), ":")
		if !ok || user == "" && secret == "" {
			return credentials{}, errInvalid
		}
		return credentials{user: user, secret: secret}, nil
	}
	return credentials{}, errInvalid
}

// The user names that say what a password is: a robot token, which may also be
// presented by its name, or an ID token.
const (
	robotUser = "token"
	oidcUser  = "oidc"
)

// identify is the identity of credentials other than a session token.
func (g *Gate) identify(ctx context.Context, c credentials, from string) (Identity, proof, error) {
	switch {
	case len(c.secret) > maxCredential || c.secret == "":
		return Identity{}, proof{}, errInvalid
	case robotText().MatchString(c.secret):
		id, known, err := g.robots.identify(ctx, c.secret)
		if err == nil && !c.bearer && c.user != robotUser && c.user != known.Name {
			err = errInvalid
		}
		return id, proof{Kind: byRobot, Ref: known.ID}, err
	case (c.bearer || c.user == oidcUser) && isJWT(c.secret):
		return g.identifyJWT(ctx, c.secret)
	case c.bearer || g.users == nil || !userName().MatchString(c.user):
		return Identity{}, proof{}, errInvalid
	}
	return g.users.login(ctx, g.failures, from, c.user, c.secret)
}

// identifyJWT finds the issuer that a token says it is of, which then checks
// that and all the rest.
func (g *Gate) identifyJWT(ctx context.Context, text string) (Identity, proof, error) {
	claimed := claimedIssuer(text)
	for _, i := range g.issuers {
		if i.URL == claimed {
			return i.identify(ctx, text)
		}
	}
	return Identity{}, proof{}, errInvalid
}

// claimedIssuer is what an unverified token says of itself: it only picks who
// verifies it.
func claimedIssuer(text string) string {
	_, rest, _ := strings.Cut(text, ".")
	payload, _, _ := strings.Cut(rest, ".")
	content, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(content, &claims) != nil {
		return ""
	}
	return claims.Issuer
}

// authenticate is the identity of a request: anonymous for one without
// credentials.
func (g *Gate) authenticate(r *http.Request) (Identity, error) {
	c, err := parseAuthorization(r.Header)
	switch {
	case err != nil:
		return Identity{}, err
	case !c.present():
		return Identity{Name: AnonymousName, Anonymous: true, Grants: g.anonymous}, nil
	case c.bearer && isJWT(c.secret) && claimedIssuer(c.secret) == sessionIssuer:
		claims, err := g.sessions.parse(c.secret)
		if err != nil {
			return Identity{}, err
		}
		return g.revive(r.Context(), claims)
	}
	id, _, err := g.identify(r.Context(), c, g.address(r))
	if err != nil {
		g.logFailure(r, c, err)
	}
	return id, err
}

// logFailure tells the operator who tried; never with what.
func (g *Gate) logFailure(r *http.Request, c credentials, err error) {
	level := slog.LevelWarn
	if !errors.Is(err, errInvalid) && !errors.Is(err, errBusy) && r.Context().Err() == nil {
		level = slog.LevelError // of the store or an issuer
	}
	g.log.Log(context.WithoutCancel(r.Context()), level, "login failed", "identity", loggedName(c.user), "from", g.address(r), "err", err)
}

// loggedName is a user's name, unless it may be a secret in the wrong place.
func loggedName(user string) string {
	switch {
	case user == "":
		return "(bearer)"
	case !userName().MatchString(user) || len(user) > 64 || strings.HasPrefix(user, "kiln_"):
		return "(hidden)"
	}
	return user
}

// address is where a request comes from, to count failures: the network of an
// IPv6 address, as one host has many there.
func (g *Gate) address(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	ip := peer.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && g.trusts(ip); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		ip = hop.Unmap().WithZone("")
	}
	if ip.Is6() {
		if prefix, err := ip.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return ip.String()
}

func (g *Gate) trusts(ip netip.Addr) bool {
	for _, p := range g.proxies {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
