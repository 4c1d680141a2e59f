// Package ociclient is a registry.Registry over any registry that speaks the
// OCI distribution spec, kiln's own included.
//
// It trusts a registry with its credentials and no one else: they go to its
// host, and to a token server of the same site; redirects and upload locations
// get none, and an upload goes to no other host. What it reads is checked
// against its digest: a blob that does not match ends in CodeCorrupt instead
// of io.EOF. Requests that may be repeated are, after a while, when the server
// or the connection failed; a blob that broke off is read on from there.
//
// Registries without the referrers API are used by the tag schema of the spec
// ("Referrers Tag Schema").
package ociclient

import (
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"kiln/registry"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// Options of New; the zero value is fine.
type Options struct {
	// Keychain knows the credentials; by default those of docker login and its
	// helpers. They are not sent over plain HTTP, loopback excepted.
	Keychain authn.Keychain
	// TokenHosts are hosts outside of the registry's site that may be sent
	// credentials to turn into a token.
	TokenHosts []string
	// Transport makes the connections; by default one with the environment's
	// proxies and timeouts.
	Transport http.RoundTripper
	// UserAgent is sent with every request; "kiln" by default.
	UserAgent string
	// RetryWait is the first wait before a request is repeated, each further
	// one is twice as long; 200 ms by default.
	RetryWait time.Duration
	// IdleTimeout ends a transfer that does not move; a minute by default.
	IdleTimeout time.Duration
}

// Client implements registry.Registry. Safe for concurrent use.
type Client struct {
	base      *url.URL // scheme and host
	reg       name.Registry
	keychain  authn.Keychain
	guard     http.RoundTripper
	userAgent string
	wait      time.Duration
	idle      time.Duration

	mu    sync.Mutex
	auths map[string]http.RoundTripper // per scopes
}

var _ registry.Registry = (*Client)(nil)

// New makes a client of the registry at an endpoint: https://HOST[:PORT],
// http://HOST[:PORT], or HOST[:PORT] alone, which is http on loopback and https
// elsewhere. It makes no connection. CodeNameInvalid for what is none of these.
func New(endpoint string, opts Options) (*Client, error) {
	base, err := parseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	reg, err := name.NewRegistry(base.Host, registryOptions(base)...)
	if err != nil {
		return nil, registry.Errorf(registry.CodeNameInvalid, "registry %s: %w", endpoint, err)
	}
	base.Host = reg.RegistryStr() // docker.io is index.docker.io
	if opts.Keychain == nil {
		opts.Keychain = authn.DefaultKeychain
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "kiln"
	}
	if opts.RetryWait <= 0 {
		opts.RetryWait = 200 * time.Millisecond
	}
	if opts.IdleTimeout <= 0 {
		opts.IdleTimeout = time.Minute
	}
	return &Client{
		base: base, reg: reg, keychain: opts.Keychain, guard: newGuard(base, opts),
		userAgent: opts.UserAgent, wait: opts.RetryWait, idle: opts.IdleTimeout,
		auths: map[string]http.RoundTripper{},
	}, nil
}

func registryOptions(base *url.URL) []name.Option {
	if base.Scheme == "http" {
		return []name.Option{name.Insecure}
	}
	return nil
}

func parseEndpoint(endpoint string) (*url.URL, error) {
	s := endpoint
	if !strings.Contains(s, "://") {
		scheme := "https://"
		if u, err := url.Parse("//" + s); err == nil && isLoopback(u.Hostname()) {
			scheme = "http://"
		}
		s = scheme + s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "",
		u.User != nil, u.RawQuery != "", u.Fragment != "", strings.Trim(u.Path, "/") != "":
		return nil, registry.Errorf(registry.CodeNameInvalid, "%q is no registry: want https://HOST[:PORT]", endpoint)
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, nil
}

// isLoopback tells this machine's names and addresses.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// Host is the registry's host and port.
func (c *Client) Host() string { return c.base.Host }

// LogValue keeps tokens out of logs.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.base.String()) }

// remoteName is how the registry calls repo: Docker Hub's own images have a
// prefix that nobody writes.
func (c *Client) remoteName(repo string) string {
	if c.base.Host == name.DefaultRegistry && !strings.Contains(repo, "/") {
		return "library/" + repo
	}
	return repo
}

// path is the URL of something in a repository.
func (c *Client) path(repo string, parts ...string) *url.URL {
	u := *c.base
	u.Path = "/v2/" + c.remoteName(repo) + "/" + strings.Join(parts, "/")
	return &u
}
