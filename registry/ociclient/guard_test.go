package ociclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/ociclient"
	"kiln/registry/ociserver"
	"kiln/registry/registrytest"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const repo = "acme/shop"

// secret is a keychain that has credentials for everybody who asks.
type secret struct{}

func (secret) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig{Username: "user", Password: "hunter2"}), nil
}

// network answers requests by host, without a network.
type network map[string]http.HandlerFunc

func (n network) RoundTrip(req *http.Request) (*http.Response, error) {
	h, ok := n[req.URL.Host]
	if !ok {
		return nil, fmt.Errorf("no host %s", req.URL.Host)
	}
	if req.Body == nil {
		req.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	h(w, req)
	resp := w.Result()
	resp.Request = req
	return resp, nil
}

func (n network) client(t *testing.T, endpoint string, hosts ...string) *ociclient.Client {
	t.Helper()
	c, err := ociclient.New(endpoint, ociclient.Options{
		Transport: n, Keychain: secret{}, TokenHosts: hosts, RetryWait: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// thief fails the test when it is sent a credential or content.
func thief(t *testing.T, name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was asked %s %s with %q", name, r.Method, r.URL, r.Header.Get("Authorization"))
	}
}

func challenge(w http.ResponseWriter, realm string) {
	w.Header().Set("Www-Authenticate", fmt.Sprintf("Bearer realm=%q,service=%q", realm, "registry"))
	w.WriteHeader(http.StatusUnauthorized)
}

// TestRealm: a token server elsewhere gets no credentials (CVE-2026-33540).
func TestRealm(t *testing.T) {
	for _, c := range []struct {
		realm string
		hosts []string
		ok    bool
	}{
		{realm: "https://registry.example.com/token", ok: true},
		{realm: "https://auth.example.com/token", ok: true},
		{realm: "https://auth.example.net/token", hosts: []string{"auth.example.net"}, ok: true},
		{realm: "https://auth.example.net/token"},
		{realm: "http://registry.example.com/token"},
		{realm: "https://169.254.169.254/token"},
		{realm: "https://127.0.0.1/token"},
	} {
		tokens := atomic.Int32{}
		u, err := url.Parse(c.realm)
		if err != nil {
			t.Fatal(err)
		}
		token := func(w http.ResponseWriter, r *http.Request) {
			if _, password, _ := r.BasicAuth(); password == "hunter2" {
				tokens.Add(1)
			}
			fmt.Fprint(w, `{"token":"t0ken"}`)
		}
		n := network{u.Host: token}
		own := func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/token":
				token(w, r)
			case r.Header.Get("Authorization") != "Bearer t0ken":
				challenge(w, c.realm)
			default:
				w.Header().Set("Content-Length", "5")
			}
		}
		n["registry.example.com"] = own
		_, err = n.client(t, "https://registry.example.com", c.hosts...).StatBlob(t.Context(), repo, digest.FromString("x"))
		if (err == nil) != c.ok || (tokens.Load() > 0) != c.ok {
			t.Errorf("realm %s: %v, credentials sent %d times", c.realm, err, tokens.Load())
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error has the password: %v", err)
		}
	}
}

// TestRedirects: reads may be redirected, but without credentials; uploads not.
func TestRedirects(t *testing.T) {
	const content = "from the cache"
	var leaked atomic.Int32
	n := network{
		"cdn.example.net": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" || r.Method != http.MethodGet && r.Method != http.MethodHead {
				leaked.Add(1)
			}
			fmt.Fprint(w, content)
		},
		"registry.example.com": func(w http.ResponseWriter, r *http.Request) {
			if _, _, ok := r.BasicAuth(); !ok {
				w.Header().Set("Www-Authenticate", "Basic realm=x")
				w.WriteHeader(http.StatusUnauthorized)
			} else if r.URL.Path != "/v2/" {
				http.Redirect(w, r, "https://cdn.example.net"+r.URL.Path, http.StatusTemporaryRedirect)
			}
		},
	}
	c := n.client(t, "https://registry.example.com")
	if got := read(t, c, digest.FromString(content)); got != content {
		t.Errorf("got %q", got)
	}
	if _, err := c.StartUpload(t.Context(), repo); err == nil {
		t.Error("an upload was redirected")
	}
	m := registry.Manifest{MediaType: ocispec.MediaTypeImageManifest, Content: []byte("{}")}
	if _, err := c.PushManifest(t.Context(), repo, m); err == nil {
		t.Error("a manifest was redirected")
	}
	n["registry.example.com"] = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://cdn.example.net/", http.StatusTemporaryRedirect)
	}
	if _, err := n.client(t, "https://registry.example.com").StatBlob(t.Context(), repo, digest.FromString("x")); err == nil {
		t.Error("followed from https to http")
	}
	if leaked.Load() > 0 {
		t.Error("another host was sent credentials or content")
	}
}

// TestUploadLocation: an upload goes to no other host (CVE-2026-50151).
func TestUploadLocation(t *testing.T) {
	for _, location := range []string{
		"https://evil.example.net/upload", "//evil.example.net/upload", "http://registry.example.com/upload",
		"https://registry.example.com:8443/upload", "https://registry.example.com@evil.example.net/upload", "", "::",
	} {
		n := network{
			"evil.example.net": thief(t, "evil"), "registry.example.com:8443": thief(t, "another port"),
			"registry.example.com": func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodHead, r.Method == http.MethodGet && r.URL.Path != "/v2/":
					w.WriteHeader(http.StatusNotFound)
				case r.Method == http.MethodPost:
					w.Header().Set("Location", location)
					w.WriteHeader(http.StatusAccepted)
				case r.URL.Path != "/v2/":
					t.Errorf("%s %s", r.Method, r.URL)
				}
			},
		}
		c := n.client(t, "https://registry.example.com")
		desc := ocispec.Descriptor{Digest: digest.FromString("content"), Size: 7}
		err := c.PushBlob(t.Context(), repo, desc, strings.NewReader("content"))
		if !errors.Is(err, registry.CodeBlobUploadInvalid) {
			t.Errorf("location %q: %v", location, err)
		}
		for _, id := range []string{location, "//evil.example.net/upload", "/\\evil.example.net", "https:/evil"} {
			if strings.Contains(id, "evil") {
				_, _ = c.ResumeUpload(context.Background(), repo, id) // the thief watches
			}
		}
	}
}

// TestCredentialsOverHTTP: they are sent to this machine, and to no other.
func TestCredentialsOverHTTP(t *testing.T) {
	for endpoint, sent := range map[string]bool{"http://registry.example.com": false, "http://127.0.0.1:5000": true, "localhost:5000": true} {
		got := atomic.Bool{}
		h := func(w http.ResponseWriter, r *http.Request) {
			if _, _, ok := r.BasicAuth(); ok {
				got.Store(true)
				w.Header().Set("Content-Length", "5")
				return
			}
			w.Header().Set("Www-Authenticate", "Basic realm=x")
			w.WriteHeader(http.StatusUnauthorized)
		}
		n := network{"registry.example.com": h, "127.0.0.1:5000": h, "localhost:5000": h}
		_, err := n.client(t, endpoint).StatBlob(t.Context(), repo, digest.FromString("x"))
		if got.Load() != sent || !sent && !errors.Is(err, registry.CodeUnauthorized) {
			t.Errorf("%s: sent %v, %v", endpoint, got.Load(), err)
		}
	}
}

// TestEndpoints: what New takes as a registry.
func TestEndpoints(t *testing.T) {
	for _, bad := range []string{"", "ftp://example.com", "https://user:pw@example.com", "https://example.com/path", "https://", "a b", "https://example.com?x"} {
		if _, err := ociclient.New(bad, ociclient.Options{}); !errors.Is(err, registry.CodeNameInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for endpoint, host := range map[string]string{
		"docker.io": "index.docker.io", "https://Example.com/": "example.com", "127.0.0.1:5000": "127.0.0.1:5000", "[::1]:5000": "[::1]:5000",
	} {
		c, err := ociclient.New(endpoint, ociclient.Options{})
		if err != nil || c.Host() != host {
			t.Errorf("%s: %v, %v", endpoint, c, err)
		}
	}
}

// TestWithoutReferrers: a registry without the API is used by tags.
func TestWithoutReferrers(t *testing.T) {
	inner := ociserver.New(newContent(t), ociserver.Options{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/referrers/") {
			http.NotFound(w, r)
			return
		}
		inner.ServeHTTP(hideSubject{w}, r)
	}))
	t.Cleanup(s.Close)
	c := newClient(t, s.URL)
	subject := registrytest.PushImage(t, c, repo, "subject", nil)
	for _, artifactType := range []string{"application/a", "application/b", "application/a"} {
		registrytest.PushImage(t, c, repo, artifactType, nil, func(m *ocispec.Manifest) {
			m.Subject, m.ArtifactType = &subject, artifactType
			m.Annotations = map[string]string{"org.example": "x"}
		})
	}
	count := func(artifactType string) (n int) {
		for desc, err := range c.Referrers(t.Context(), repo, subject.Digest, artifactType) {
			if err != nil {
				t.Fatal(err)
			}
			if desc.Annotations["org.example"] != "x" {
				t.Errorf("%+v", desc)
			}
			n++
		}
		return n
	}
	if all, a := count(""), count("application/a"); all != 2 || a != 1 {
		t.Errorf("%d referrers, %d of type a; want 2 and 1", all, a)
	}
	for range c.Referrers(t.Context(), repo, digest.FromString("nothing"), "") {
		t.Error("a referrer of nothing")
	}
}

// hideSubject makes an answer that of an old registry.
type hideSubject struct{ http.ResponseWriter }

func (h hideSubject) WriteHeader(status int) {
	h.Header().Del("OCI-Subject")
	h.Header().Del("OCI-Tag")
	h.ResponseWriter.WriteHeader(status)
}
