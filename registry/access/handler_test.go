package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kiln/registry/promotion"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Every kind of credential, on every kind of path.
func TestCredentials(t *testing.T) {
	c := newClock()
	p := newProvider(t, c)
	w := newWorld(t, func(cfg *Config) {
		cfg.Issuers = []Issuer{p.issuer()}
		cfg.Now = c.Now
	})
	w.image(shop, "one", "v1")
	w.image("secret/thing", "two", "v1")
	robot := w.robot("ci", grant("pull push", "acme/*"))
	token := p.token()
	for who, kind := range map[string]string{
		"alice": "a user", robot: "a bearer robot", "token:" + robot: "a robot as a password", "ci:" + robot: "a robot by its name",
		token: "an ID token", "oidc:" + token: "an ID token as a password",
	} {
		t.Run(kind, func(t *testing.T) {
			w := *w
			w.TB = t
			w.expect(200, who, "GET", "/v2/", "")
			w.expect(200, who, "GET", "/v2/acme/shop/manifests/v1", "")
			w.expect(200, who, "GET", "/api/v1/channels?image=acme/shop", "")
			w.expect(404, who, "GET", "/v2/acme/none/manifests/v1", "")
			w.expect(202, who, "POST", "/v2/acme/new/blobs/uploads/", "")
			if who != "alice" {
				for _, path := range []string{"/v2/secret/thing/manifests/v1", "/v2/secret/none/manifests/v1", "/api/v1/channels?image=secret/thing", "/api/v1/channels?image=secret/none"} {
					w.expect(403, who, "GET", path, "") // whether it is there or not
				}
				w.expect(403, who, "DELETE", "/v2/acme/shop/manifests/v1", "")
				w.expect(403, who, "GET", "/api/v1/tokens", "")
				w.expect(403, who, "POST", "/api/v1/promotions", `{"image":"acme/shop","digest":"`+someDigest.String()+`","channel":"dev"}`, "Content-Type", "application/json")
			}
			session := w.session(who, "repository:acme/shop:pull,push")
			w.expect(200, session, "GET", "/v2/", "")
			w.expect(200, session, "GET", "/v2/acme/shop/manifests/v1", "")
			w.expect(202, session, "POST", "/v2/acme/shop/blobs/uploads/", "")
			a := w.expect(401, session, "GET", "/v2/acme/none/manifests/v1", "")
			if !strings.Contains(a.header.Get("Www-Authenticate"), `error="insufficient_scope"`) {
				t.Errorf("challenge %q", a.header.Get("Www-Authenticate"))
			}
		})
	}
	for _, who := range []string{
		"alice:wrong", "carol:" + passwords["alice"], "alice:", "bob:" + robot, "token:x", robot + "0", "Kiln_x", "a.b.c", "kiln_", "alice:" + token, "oidc:" + p.token(map[string]any{"aud": "x"}),
	} {
		for _, path := range []string{"/v2/", "/v2/acme/shop/manifests/v1", "/api/v1/images", TokenPath} {
			a := w.expect(401, who, "GET", path, "")
			if a.header.Get("Www-Authenticate") == "" {
				t.Errorf("%s %s: no challenge", who, path)
			}
		}
	}
	w.expect(200, "nobody", "GET", "/v2/", "")
	w.expect(403, "nobody", "GET", "/v2/acme/shop/manifests/v1", "")
	if a := w.expect(200, "nobody", "GET", "/v2/_catalog", ""); !strings.Contains(a.body, "[]") {
		t.Errorf("catalog %s", a.body)
	}
}

// FAULTS 19: behind a proxy that speaks TLS, and without its URL, nobody is told
// to send a password in the clear.
func TestRealmWithoutURL(t *testing.T) {
	g := &Gate{}
	for host, want := range map[string]string{
		"registry.example.com": "https", "registry.example.com:5000": "https", "10.0.0.1:5000": "https", "[2001:db8::1]:80": "https", "": "https",
		"127.0.0.1:5000": "http", "localhost": "http", "[::1]:5000": "http", "[::1]": "http",
	} {
		if got := g.realm(&http.Request{Host: host}); got != want+"://"+host+TokenPath {
			t.Errorf("%s: %s", host, got)
		}
	}
}

// What a stranger is told, so that docker, crane, skopeo and curl find the way.
func TestChallenge(t *testing.T) {
	for _, serverURL := range []string{"", "https://registry.example.com"} {
		w := newWorld(t, func(c *Config) { c.URL = serverURL })
		realm := serverURL
		if realm == "" {
			realm = w.server.URL
		}
		for _, c := range []struct{ method, path, scope string }{
			{"GET", "/v2/", ""},
			{"GET", "/v2", ""},
			{"GET", "/v2/acme/shop/manifests/v1", "repository:acme/shop:pull"},
			{"HEAD", "/v2/acme/shop/blobs/" + someDigest.String(), "repository:acme/shop:pull"},
			{"GET", "/v2/acme/shop/tags/list", "repository:acme/shop:pull"},
			{"GET", "/v2/acme/shop/referrers/" + someDigest.String(), "repository:acme/shop:pull"},
			{"POST", "/v2/acme/shop/blobs/uploads/", "repository:acme/shop:pull,push"},
			{"POST", "/v2/acme/shop/blobs/uploads/?mount=" + someDigest.String() + "&from=acme/base", "repository:acme/shop:pull,push repository:acme/base:pull"},
			{"DELETE", "/v2/acme/shop/manifests/v1", "repository:acme/shop:delete"},
			{"GET", "/v2/_catalog", "registry:catalog:*"},
			{"GET", "/v2/manifests/blobs/manifests/v1", "repository:manifests/blobs:pull"},
		} {
			want := `Bearer realm="` + realm + `/v2/token",service="kiln"`
			if c.scope != "" {
				want += `,scope="` + c.scope + `"`
			}
			a := w.expect(401, "", c.method, c.path, "")
			if got := a.header.Values("Www-Authenticate"); len(got) != 1 || got[0] != want {
				t.Errorf("%s %s: %q, want %q", c.method, c.path, got, want)
			}
			if c.method != "HEAD" && !strings.Contains(a.body, `"UNAUTHORIZED"`) {
				t.Errorf("%s %s: %s", c.method, c.path, a.body)
			}
		}
		a := w.expect(401, "", "GET", "/api/v1/images", "")
		if got := a.header.Values("Www-Authenticate"); len(got) != 2 || a.header.Get("Content-Type") != "application/problem+json" || !strings.Contains(a.body, `"unauthenticated"`) {
			t.Errorf("%q %s", got, a.body)
		}
		a = w.expect(401, "junk", "GET", "/api/v1/images", "")
		var problem struct {
			Status int
			Kind   promotion.Kind
			Detail string
		}
		if err := json.Unmarshal([]byte(a.body), &problem); err != nil || problem.Status != 401 || problem.Kind != promotion.KindUnauthenticated || problem.Detail == "" {
			t.Errorf("%s: %v", a.body, err)
		}
	}
}

func TestAnonymousPull(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.AnonymousPull = []string{"public/*"} })
	w.image("public/tool", "one", "v1")
	w.image("secret/thing", "two", "v1")
	w.expect(401, "", "GET", "/v2/", "") // so that docker login finds the realm
	session := w.session("", "repository:public/tool:pull", "repository:secret/thing:pull")
	for _, who := range []string{"", session} {
		w.expect(200, who, "GET", "/v2/public/tool/manifests/v1", "")
		w.expect(200, who, "GET", "/api/v1/versions?image=public/tool", "")
		w.expect(401, who, "GET", "/v2/secret/thing/manifests/v1", "")
		w.expect(401, who, "POST", "/v2/public/tool/blobs/uploads/", "")
		if a := w.expect(200, who, "GET", "/v2/_catalog", ""); strings.Contains(a.body, "secret") || !strings.Contains(a.body, "public/tool") {
			t.Errorf("catalog %s", a.body)
		}
	}
	w.expect(200, session, "GET", "/v2/", "")
	w.expect(401, "", "GET", "/api/v1/trust", "")
	w.expect(401, "alice:wrong", "GET", "/v2/public/tool/manifests/v1", "") // a wrong password is told
	w.expect(403, "bob", "GET", "/v2/public/tool/manifests/v1", "")         // who is known has what is granted

	none := newWorld(t, nil)
	none.expect(401, "", "GET", TokenPath, "")
}

// The token endpoint, as docker and podman ask it.
func TestTokenEndpoint(t *testing.T) {
	w := newWorld(t, nil)
	w.image(shop, "one", "v1")
	robot := w.robot("ci", grant("pull", "acme/*"))
	a := w.expect(200, "alice", "GET", TokenPath+"?account=alice&client_id=docker&offline_token=true&service=kiln&scope=repository:acme/shop:pull", "")
	var out map[string]any
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || out["expires_in"] != 300.0 || out["issued_at"] != "2026-03-01T12:00:00Z" || out["refresh_token"] != nil {
		t.Errorf("%s: %v", a.body, err)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a token may be cached: %v", a.header)
	}
	form := func(status int, pairs ...string) string {
		t.Helper()
		values := url.Values{"service": {"kiln"}, "client_id": {"x"}}
		for i := 0; i < len(pairs); i += 2 {
			values.Add(pairs[i], pairs[i+1])
		}
		a := w.expect(status, "", "POST", TokenPath, values.Encode(), "Content-Type", "application/x-www-form-urlencoded")
		var out sessionAnswer
		if status == 200 && (json.Unmarshal([]byte(a.body), &out) != nil || out.AccessToken == "") {
			t.Errorf("%s", a.body)
		}
		return out.AccessToken
	}
	scope := "repository:acme/shop:pull"
	session := form(200, "grant_type", "password", "username", "alice", "password", passwords["alice"], "scope", scope)
	w.expect(200, session, "GET", "/v2/acme/shop/manifests/v1", "")
	w.expect(200, form(200, "grant_type", "refresh_token", "refresh_token", robot, "scope", scope), "GET", "/v2/acme/shop/manifests/v1", "")
	form(401, "grant_type", "password", "username", "alice", "password", "wrong")
	form(401, "grant_type", "password", "username", "alice")
	form(401, "grant_type", "refresh_token", "refresh_token", session) // it would never end
	form(401, "grant_type", "refresh_token")
	form(400, "grant_type", "authorization_code", "code", "x")
	form(400)
	form(400, "grant_type", "password", "username", strings.Repeat("a", maxForm))
	form(400, "grant_type", "password", "username", "alice", "password", passwords["alice"], "scope", strings.Repeat("repository:a:pull ", 51))
	w.expect(401, session, "GET", TokenPath, "")
	w.expect(400, "alice", "GET", TokenPath+"?scope="+strings.Repeat("repository:a:pull+", 51), "")
	w.expect(405, "alice", "DELETE", TokenPath, "")
	w.expect(401, "", "GET", TokenPath, "", "Authorization", "Bearer "+strings.Repeat("a", maxCredential+1))

	// It ends after five minutes, and with the password that it was made of.
	w.clock.Add(SessionLifetime)
	w.expect(200, session, "GET", "/v2/acme/shop/manifests/v1", "")
	w.clock.Add(time.Second)
	w.expect(401, session, "GET", "/v2/acme/shop/manifests/v1", "")
	session = w.session("alice", scope)
	write(t, w.htpasswd, "alice:"+hashed(t, "new"))
	w.clock.Add(lookEvery)
	w.expect(401, session, "GET", "/v2/acme/shop/manifests/v1", "")
}

// Nobody guesses a password at the speed of the machine.
func TestGuessing(t *testing.T) {
	w := newWorld(t, nil)
	for range maxFailed {
		w.expect(401, "alice:guess", "GET", "/v2/", "")
	}
	a := w.expect(429, "alice:guess", "GET", "/v2/", "")
	if a.header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After: %v", a.header)
	}
	w.expect(200, "bob", "GET", "/v2/", "")
}

// A store that does not answer is no wrong password: CI should try again.
func TestStoreDown(t *testing.T) {
	w := newWorld(t, nil)
	robot := w.robot("ci", grant("pull", "**"))
	w.gate.robots.pointers = failingPointers{w.pointers}
	a := w.expect(503, robot, "GET", "/v2/", "")
	if a.header.Get("Retry-After") == "" || strings.Contains(a.body, "disk") {
		t.Errorf("%v %s", a.header, a.body)
	}
}

// FAULTS 6: an upload belongs to who began it. What binds it is contentstore's;
// what it is bound to is this.
func TestOwner(t *testing.T) {
	if Owner(t.Context()) != "" {
		t.Error("nobody owns something")
	}
	if got := Owner(With(t.Context(), Identity{Name: "alice"})); got != "alice" {
		t.Errorf("owner %q", got)
	}
}

// A token that is revoked while a hundred requests run with it, and with its
// sessions, is nobody's from the moment that revoking returns.
func TestRevokeInUse(t *testing.T) {
	w := newWorld(t, nil)
	w.image(shop, "one", "v1")
	robot := w.robot("ci", grant("pull", "acme/*"))
	session := w.session(robot, "repository:acme/shop:pull")
	var revoked atomic.Bool
	var before, after, wrong atomic.Int64
	var done sync.WaitGroup
	for i := range 8 {
		who := []string{robot, session}[i%2]
		done.Go(func() {
			for after.Load() < 200 {
				late := revoked.Load() // read before asking
				req, err := http.NewRequestWithContext(t.Context(), "GET", w.server.URL+"/v2/acme/shop/manifests/v1", nil)
				if err != nil {
					t.Error(err)
					return
				}
				as(req, who)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				switch {
				case late && resp.StatusCode != 401:
					wrong.Add(1)
					after.Add(1)
				case late:
					after.Add(1)
				case resp.StatusCode == 200:
					before.Add(1)
				}
			}
		})
	}
	for before.Load() < 200 {
		time.Sleep(time.Millisecond)
	}
	id := robot[len("kiln_") : len("kiln_")+20]
	w.expect(200, "alice", "DELETE", "/api/v1/tokens?id="+id, "")
	revoked.Store(true)
	done.Wait()
	if wrong.Load() > 0 {
		t.Errorf("%d requests were answered after the token was revoked", wrong.Load())
	}
}

// FAULTS 21: whatever is presented, right or wrong, never shows in a log.
func TestNoSecretsInLogs(t *testing.T) {
	c := newClock()
	p := newProvider(t, c)
	w := newWorld(t, func(cfg *Config) { cfg.Issuers = []Issuer{p.issuer()} })
	desc := w.image(shop, "one", "v1")
	robot, token := w.robot("ci", grant("pull push delete", "acme/*")), p.token()
	wrong, expired := "wrong-password-of-alice", p.token(map[string]any{"exp": 1})
	unknown := "kiln_" + strings.Repeat("9", 20) + "_" + strings.Repeat("8", 64)
	session := w.session("alice", "repository:acme/shop:pull,push")
	secrets := []string{robot, token, wrong, expired, unknown, session, passwords["alice"], robot[26:], unknown[26:]}
	for _, who := range []string{"alice", "alice:" + wrong, robot, token, expired, unknown, session, "token:" + robot, unknown + ":x", "oidc:" + expired, token + ":x", robot + ":" + robot} {
		for _, path := range []string{"/v2/", "/v2/acme/shop/manifests/" + desc.Digest.String(), "/api/v1/images", TokenPath} {
			w.ask(who, "GET", path, "")
		}
		w.ask(who, "POST", "/v2/acme/shop/blobs/uploads/?digest="+someDigest.String(), "x")
		w.ask(who, "DELETE", "/v2/acme/shop/tags/none", "")
	}
	made := w.expect(200, "alice", "POST", "/api/v1/tokens", `{"name":"new","lifetime":"1d","grants":[{"images":["**"],"verbs":["pull"]}]}`, "Content-Type", "application/json")
	var tok struct{ Token string }
	if err := json.Unmarshal([]byte(made.body), &tok); err != nil || tok.Token == "" || made.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s %v: %v", made.body, made.header, err)
	}
	secrets = append(secrets, tok.Token, tok.Token[26:])
	w.expect(200, tok.Token, "GET", "/v2/", "")
	log := w.log.String()
	if !strings.Contains(log, `"login failed"`) || !strings.Contains(log, `"audit"`) {
		t.Errorf("the log tells nothing: %s", log)
	}
	content, err := os.ReadFile(w.htpasswd)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		_, hash, _ := strings.Cut(strings.TrimSpace(line), ":")
		secrets = append(secrets, hash)
	}
	for _, s := range secrets {
		if at := strings.Index(log, s); at >= 0 {
			t.Errorf("the log has a secret: %s", log[max(0, at-200):min(len(log), at+100)])
		}
	}
	for _, v := range []any{Config{SessionKey: []byte("very-secret-key")}, credentials{user: "alice", secret: "very-secret-key"}} {
		w.gate.log.Info("x", "value", v)
	}
	if strings.Contains(w.log.String(), "very-secret-key") {
		t.Error("a value that holds a secret shows it")
	}
}

// Every write is a line: who, what, which, and what came of it.
func TestAudit(t *testing.T) {
	w := newWorld(t, nil)
	m := w.manifest(shop, "one", "")
	blob := "blob"
	push := func(status int, who string) {
		w.expect(status, who, "POST", "/v2/acme/shop/blobs/uploads/?digest="+digestOf(blob), blob)
		a := w.expect(map[bool]int{true: 202, false: status}[status == 201], who, "POST", "/v2/acme/shop/blobs/uploads/", "")
		if status == 201 {
			w.expect(202, who, "PATCH", a.header.Get("Location"), "chunk")
			w.expect(201, who, "PUT", a.header.Get("Location")+"?digest="+digestOf("chunk"), "")
		}
		w.expect(status, who, "PUT", "/v2/acme/shop/manifests/v1", string(m), "Content-Type", ocispec.MediaTypeImageManifest)
	}
	push(201, "alice")
	push(403, "bob")
	push(401, "")
	w.expect(403, "bob", "DELETE", "/v2/acme/shop/manifests/v1", "")
	w.expect(202, "alice", "DELETE", "/v2/acme/shop/manifests/v1", "")
	w.expect(404, "alice", "DELETE", "/v2/acme/shop/manifests/v1", "")
	w.expect(403, "bob", "POST", "/api/v1/promotions", `{"image":"acme/shop","digest":"`+digestOf(string(m))+`","channel":"prod"}`, "Content-Type", "application/json")
	w.expect(200, "alice", "POST", "/api/v1/tokens", `{"name":"new","lifetime":"1d","grants":[{"images":["**"],"verbs":["pull"]}]}`, "Content-Type", "application/json")
	w.expect(403, "bob", "DELETE", "/api/v1/tokens?name=new", "")
	w.expect(200, "alice", "DELETE", "/api/v1/tokens?name=new", "")
	w.expect(200, "bob", "GET", "/v2/acme/shop/manifests/"+digestOf(string(m)), "") // no line
	var got []string
	for line := range strings.Lines(w.log.String()) {
		var e struct{ Msg, Verb, Identity, Outcome, Repo, Tag, Digest, Channel, Token string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Msg == "audit" {
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s%s%s%s %s", e.Identity, e.Verb, e.Outcome, e.Repo, e.Tag, e.Channel, e.Token, named(e.Digest, m))))
		}
	}
	want := `alice push_blob ok acme/shop blob
alice push_blob ok acme/shop chunk
alice push_manifest ok acme/shopv1 manifest
bob push_blob denied acme/shop blob
bob start_upload denied acme/shop
bob push_manifest denied acme/shopv1
anonymous push_blob denied acme/shop blob
anonymous start_upload denied acme/shop
anonymous push_manifest denied acme/shopv1
bob delete_tag denied acme/shopv1
alice delete_tag ok acme/shopv1
alice delete_tag failed acme/shopv1
bob promote denied acme/shopprod manifest
alice token_create ok new
bob token_revoke denied new
alice token_revoke ok new`
	if strings.Join(got, "\n") != want {
		t.Errorf("audited:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
	}
}

func digestOf(s string) string { return digest.FromString(s).String() }

func named(d string, manifest []byte) string {
	return map[string]string{digestOf("blob"): "blob", digestOf("chunk"): "chunk", digestOf(string(manifest)): "manifest", "": ""}[d]
}

// A config that is incomplete is an error, and never means everybody.
func TestConfig(t *testing.T) {
	w := newWorld(t, nil)
	for text, cfg := range map[string]Config{
		"pointers":            {},
		"session key":         {Pointers: w.pointers, SessionKey: make([]byte, 31)},
		"htpasswd:":           {Pointers: w.pointers, Htpasswd: w.htpasswd + ".none"},
		"no htpasswd file":    {Pointers: w.pointers, Users: map[string][]Grant{"alice": {grant("pull", "**")}}},
		"user alice: unknown": {Pointers: w.pointers, Htpasswd: w.htpasswd, Users: map[string][]Grant{"alice": {grant("fly", "**")}}},
		"anonymous pull":      {Pointers: w.pointers, AnonymousPull: []string{"["}},
		"URL":                 {Pointers: w.pointers, URL: "registry.example.com"},
		"server's URL":        {Pointers: w.pointers, URL: "https://u:p@registry.example.com"},
		"audience":            {Pointers: w.pointers, Issuers: []Issuer{{Name: "a", URL: "https://idp.example.com"}}},
	} {
		if _, err := New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %s", err, text)
		}
	}
	role := []Role{{Claims: map[string]string{"sub": "x"}, Grants: []Grant{grant("pull", "**")}}}
	twice := []Issuer{{Name: "a", URL: "https://a.example.com", Audience: "x", Roles: role}, {Name: "b", URL: "https://a.example.com", Audience: "y", Roles: role}}
	if _, err := New(t.Context(), Config{Pointers: w.pointers, Issuers: twice}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("two issuers of one URL: %v", err)
	}
	// Nothing but pointers: nobody gets in, robots excepted.
	g, err := New(t.Context(), Config{Pointers: w.pointers})
	if err != nil {
		t.Fatal(err)
	}
	closed := *w
	closed.server.Config.Handler = g.Handler(http.NotFoundHandler())
	closed.expect(401, "alice", "GET", "/v2/", "")
	closed.expect(401, "", "GET", TokenPath, "")
}

// failingPointers are of a store that is away.
type failingPointers struct{ store.Pointers }

func (failingPointers) Load(context.Context, string) (store.Pointer, error) {
	return store.Pointer{}, errors.New("disk on fire")
}

// A session is nobody's when what it was made of is gone, or is another's.
func TestRevive(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.AnonymousPull = []string{"public/*"} })
	robot := w.robot("ci", grant("pull", "acme/*"))
	id := robot[len("kiln_") : len("kiln_")+20]
	hash, _ := w.gate.users.hash("alice")
	for _, c := range []struct {
		name string
		proof
		status int
	}{
		{"token:ci", proof{Kind: byRobot, Ref: id}, 200},
		{"token:other", proof{Kind: byRobot, Ref: id}, 401},
		{"alice", proof{Kind: byRobot, Ref: id}, 401},
		{"token:ci", proof{Kind: byRobot, Ref: strings.Repeat("0", 20)}, 401},
		{"token:ci", proof{Kind: byRobot}, 401},
		{"alice", proof{Kind: byUser, Ref: printOf("alice", hash)}, 200},
		{"bob", proof{Kind: byUser, Ref: printOf("alice", hash)}, 401},
		{"alice", proof{Kind: byUser}, 401},
		{AnonymousName, proof{Kind: byAnonymous}, 200},
		{"alice", proof{Kind: "new"}, 401},
		{"alice", proof{}, 401},
	} {
		text, _, _, err := w.gate.sessions.issue(Identity{Name: c.name}, c.proof, scopes{})
		if err != nil {
			t.Fatal(err)
		}
		w.expect(c.status, text, "GET", "/v2/", "")
	}
}
