package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

var testSecret = []byte("0123456789abcdef0123456789abcdef")

func testSessions(t testing.TB, c *clock) *sessions {
	t.Helper()
	s, err := newSessions(testSecret, c.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSessions(t *testing.T) {
	c := newClock()
	s := testSessions(t, c)
	access := scopes{{"repository", "acme/shop", []string{"pull", "push"}}}
	text, issued, expires, err := s.issue(Identity{Name: "alice"}, proof{Kind: byUser, Ref: "print"}, access)
	if err != nil || !issued.Equal(c.Now()) || expires.Sub(issued) != SessionLifetime {
		t.Fatalf("%v %v: %v", issued, expires, err)
	}
	got, err := testSessions(t, c).parse(text) // of another replica
	if err != nil || got.Subject != "alice" || got.Kind != byUser || got.Ref != "print" || !got.Access.permit(Push, "acme/shop") {
		t.Fatalf("%+v: %v", got, err)
	}
	c.Add(-20 * time.Second) // a replica whose clock is behind
	if _, err := s.parse(text); err != nil {
		t.Error(err)
	}
	c.Add(-20 * time.Second)
	if _, err := s.parse(text); err == nil {
		t.Error("a session is taken before its time")
	}
	c.Add(40*time.Second + SessionLifetime)
	if _, err := s.parse(text); err != nil { // the last second counts
		t.Error(err)
	}
	c.Add(time.Second)
	if _, err := s.parse(text); !errors.Is(err, errInvalid) {
		t.Errorf("an expired session: %v", err)
	}
	if _, _, end, err := s.issue(Identity{Name: "x", Expires: c.Now().Add(time.Second)}, proof{}, nil); err != nil || !end.Equal(c.Now().Add(time.Second)) {
		t.Errorf("a session outlives its credential: %v %v", end, err)
	}
}

// FAULTS 16: a token that carries its own key, or says how it is signed.
func TestForgedSessions(t *testing.T) {
	c := newClock()
	s := testSessions(t, c)
	good := sessionClaims{
		Claims: jwt.Claims{
			Issuer: sessionIssuer, Subject: "alice", Audience: jwt.Audience{Service}, ID: "1",
			Expiry: jwt.NewNumericDate(c.Now().Add(time.Minute)), NotBefore: jwt.NewNumericDate(c.Now()), IssuedAt: jwt.NewNumericDate(c.Now()),
		},
		proof: proof{Kind: byIssuer, Grants: []Grant{grant("push", "**")}}, Access: scopes{},
	}
	sign := func(alg jose.SignatureAlgorithm, key any, opts *jose.SignerOptions, claims any) string {
		t.Helper()
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
		if err != nil {
			t.Fatal(err)
		}
		text, err := jwt.Signed(signer).Claims(claims).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if _, err := s.parse(sign(jose.HS256, s.key, nil, good)); err != nil {
		t.Fatalf("what the attacks start from is refused: %v", err)
	}
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*sessionClaims)) sessionClaims {
		other := good
		change(&other)
		return other
	}
	payload, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	unsigned := func(header string) string {
		b := base64.RawURLEncoding
		return b.EncodeToString([]byte(header)) + "." + b.EncodeToString(payload) + "."
	}
	attacks := map[string]string{
		"another secret":     sign(jose.HS256, []byte("another secret of 32 bytes......"), nil, good),
		"the raw secret":     sign(jose.HS256, testSecret, nil, good),
		"HS512":              sign(jose.HS512, append(s.key, s.key...), nil, good),
		"ES256 with its jwk": sign(jose.ES256, foreign, &jose.SignerOptions{EmbedJWK: true}, good),
		"a jwk beside":       sign(jose.HS256, s.key, (&jose.SignerOptions{}).WithHeader("jwk", map[string]string{"kty": "oct", "k": "AAAA"}), good),
		"a jku":              sign(jose.HS256, s.key, (&jose.SignerOptions{}).WithHeader("jku", "http://127.0.0.1/"), good),
		"an x5u":             sign(jose.HS256, s.key, (&jose.SignerOptions{}).WithHeader("x5u", "http://127.0.0.1/"), good),
		"a kid":              sign(jose.HS256, s.key, (&jose.SignerOptions{}).WithHeader("kid", "../../dev/null"), good),
		"none":               unsigned(`{"alg":"none"}`) + "AA",
		"none, empty":        unsigned(`{"alg":"none"}`),
		"nOnE":               unsigned(`{"alg":"nOnE"}`) + "AA",
		"no algorithm":       unsigned(`{}`) + "AA",
		"another audience":   sign(jose.HS256, s.key, nil, changed(func(c *sessionClaims) { c.Audience = jwt.Audience{"other"} })),
		"no audience":        sign(jose.HS256, s.key, nil, changed(func(c *sessionClaims) { c.Audience = nil })),
		"another issuer":     sign(jose.HS256, s.key, nil, changed(func(c *sessionClaims) { c.Issuer = "https://x" })),
		"no end":             sign(jose.HS256, s.key, nil, changed(func(c *sessionClaims) { c.Expiry = nil })),
		"no beginning":       sign(jose.HS256, s.key, nil, changed(func(c *sessionClaims) { c.NotBefore = nil })),
		"no subject":         sign(jose.HS256, s.key, nil, changed(func(c *sessionClaims) { c.Subject = "" })),
		"no scopes":          sign(jose.HS256, s.key, nil, changed(func(c *sessionClaims) { c.Access = nil })),
		"huge":               strings.Repeat("a", 1<<20) + ".b.c",                      // FAULTS 17
		"dots":               strings.Repeat(".", 1<<20),                               // FAULTS 17
		"JSON form":          fmt.Sprintf(`{"payload":"%s","protected":"e30"}`, "e30"), // jose has another form
		"spaces":             " " + sign(jose.HS256, s.key, nil, good),
		"empty":              "",
	}
	for name, text := range attacks {
		if got, err := s.parse(text); !errors.Is(err, errInvalid) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// One flipped bit anywhere.
	text := sign(jose.HS256, s.key, nil, good)
	for i := 0; i < len(text); i += 7 {
		b := []byte(text)
		b[i] ^= 1
		if got, err := s.parse(string(b)); err == nil && string(b) != text && !sameLastBits(text, string(b), i) {
			t.Errorf("bit flipped at %d: %+v", i, got)
		}
	}
}

// sameLastBits tells a change of the unused bits of the last base64 digit.
func sameLastBits(a, b string, at int) bool {
	x, _ := base64.RawURLEncoding.DecodeString(a[strings.LastIndexByte(a, '.')+1:])
	y, _ := base64.RawURLEncoding.DecodeString(b[strings.LastIndexByte(b, '.')+1:])
	return at == len(a)-1 && string(x) == string(y)
}

// No text but what the key signed is a session, and none makes it stumble.
func FuzzSessionToken(f *testing.F) {
	c := newClock()
	s := testSessions(f, c)
	// The same in every process that fuzzes.
	good, err := jwt.Signed(s.signer).Claims(sessionClaims{Claims: jwt.Claims{
		Issuer: sessionIssuer, Subject: "alice", Audience: jwt.Audience{Service}, ID: "1",
		Expiry: jwt.NewNumericDate(c.Now().Add(time.Minute)), NotBefore: jwt.NewNumericDate(c.Now()), IssuedAt: jwt.NewNumericDate(c.Now()),
	}, proof: proof{Kind: byUser}, Access: scopes{}}).Serialize()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-4])
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("eyJhbGciOiJIUzI1NiIsImp3ayI6e319.e30.AA")
	f.Add("eyJhbGciOiJIUzI1NiIsIng1YyI6WyJBQUFBIl19.e30.AA")
	f.Fuzz(func(t *testing.T, text string) {
		claims, err := s.parse(text)
		if err == nil && (claims.Subject != "alice" || text[:len(text)-1] != good[:len(good)-1]) {
			t.Errorf("%q is a session of %s", text, claims.Subject)
		}
		claimedIssuer(text)
	})
}

func TestScopes(t *testing.T) {
	list, err := parseScopes([]string{"repository:acme/shop:pull,push repository:acme/base:pull", "registry:catalog:*", "repository:x:delete", "repository:y:*", "plugin:z:push", "repository:../etc:pull", "junk", "a:b"})
	if err != nil || len(list) != 5 || !list.catalog() {
		t.Fatalf("%v: %v", list, err)
	}
	for _, c := range []struct {
		verb  Verb
		image string
		want  bool
	}{
		{Pull, "acme/shop", true}, {Push, "acme/shop", true}, {Attest, "acme/shop", true}, {Delete, "acme/shop", true},
		{Pull, "acme/base", true}, {Push, "acme/base", false}, {Delete, "acme/base", false},
		{Delete, "x", true}, {Pull, "x", false}, {Pull, "y", true}, {Delete, "y", true},
		{Push, "z", false}, {Pull, "", false}, {Promote, "y", false}, {Admin, "y", false}, {Admin, EveryImage, false}, {Lease, "y", false},
	} {
		if got := list.permit(c.verb, c.image); got != c.want {
			t.Errorf("%s %s: %v", c.verb, c.image, got)
		}
	}
	for _, params := range [][]string{{strings.Repeat("repository:a:pull ", 51)}, {"repository:a:" + strings.Repeat("p", 300)}, {strings.Repeat(" ", 1<<20)}} {
		if _, err := parseScopes(params); err == nil {
			t.Errorf("%.30q… is taken", params)
		}
	}
}
