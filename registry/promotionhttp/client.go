package promotionhttp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"kiln/registry/promotion"

	"github.com/opencontainers/go-digest"
)

// ClientOptions of NewClient; the zero value is fine.
type ClientOptions struct {
	// Token is sent as a bearer token, if not empty.
	Token string
	// Login is asked for a user and a password where there is no Token, before
	// each request; they are sent to this server alone. An empty user sends none.
	Login func(ctx context.Context) (user, password string, err error)
	// Transport instead of one like http.DefaultTransport.
	Transport http.RoundTripper
}

// LogValue keeps the token out of logs.
func (ClientOptions) LogValue() slog.Value { return slog.StringValue("client options") }

// Client asks a server. Its errors are the *promotion.Error that the server's
// operations returned; KindInternal is also what never reached a server. Reading
// is tried again when the server is out of reach or busy, changing is not. Safe
// for concurrent use.
type Client struct {
	base  *url.URL // scheme and host
	token string
	login func(ctx context.Context) (user, password string, err error)
	http  *http.Client
}

var _ promotion.Operations = (*Client)(nil)

// Times of a request.
const (
	requestTimeout = 5 * time.Minute // with its answer
	headerTimeout  = 2 * time.Minute // until the answer begins
)

// NewClient makes a client of the server at baseURL, https://host[:port]; http
// is for loopback hosts only. It asks nothing yet; KindInvalid for other URLs.
func NewClient(baseURL string, opts ClientOptions) (*Client, error) {
	base, err := parseBase(baseURL)
	if err != nil {
		return nil, &promotion.Error{
			Kind: promotion.KindInvalid, Message: err.Error(), Err: err,
			Hint: "a server is https://host[:port]; http:// is for one on this machine",
		}
	}
	transport := opts.Transport
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.ResponseHeaderTimeout = headerTimeout
		transport = t
	}
	return &Client{base: base, token: opts.Token, login: opts.Login, http: &http.Client{
		Transport: transport, CheckRedirect: sameOrigin, Timeout: requestTimeout,
	}}, nil
}

// patient is c for what may take long: the caller's context bounds it alone.
func (c *Client) patient() *Client {
	slow := *c.http
	slow.Timeout = 0
	if t, ok := slow.Transport.(*http.Transport); ok {
		t = t.Clone()
		t.ResponseHeaderTimeout = 0
		slow.Transport = t
	}
	return &Client{base: c.base, token: c.token, login: c.login, http: &slow}
}

// parseBase keeps the text out of its errors: it may hold a password.
func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("the server's URL is malformed")
	case u.User != nil:
		return nil, errors.New("the server's URL holds a user or password; give a token instead")
	case u.Host == "" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("the server's URL is not only a scheme and a host: %s", clip(u.Redacted()))
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
	case u.Scheme == "http":
		return nil, fmt.Errorf("http:// to %s would send everything in the clear", clip(u.Hostname()))
	}
	return nil, fmt.Errorf("the server's URL has the scheme %q", clip(u.Scheme))
}

// isLoopback says whether a host without its port is this machine.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// maxRedirects bounds a chain of them.
const maxRedirects = 5

// redirectError is the error of a redirect that is not followed.
type redirectError string

func (e redirectError) Error() string { return string(e) }

// sameOrigin refuses to carry credentials, or what is promoted, to another server.
func sameOrigin(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return redirectError(fmt.Sprintf("more than %d redirects", maxRedirects))
	}
	if r.URL.Scheme != via[0].URL.Scheme || r.URL.Host != via[0].URL.Host {
		return redirectError("refused a redirect to another server, " + clip(r.URL.Host))
	}
	return nil
}

// LogValue keeps the token out of logs.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.base.String()) }

// Host is the server's host, with its port if it has one in the URL.
func (c *Client) Host() string { return c.base.Host }

// TagsOf lists the version tags of a digest, newest first; none if the image is
// unknown.
func (c *Client) TagsOf(ctx context.Context, image string, d digest.Digest) ([]string, error) {
	req := promotion.VersionsRequest{Image: image, Digest: d, Limit: promotion.MaxLimit}
	tags := []string{}
	for range maxPages {
		page, err := c.Versions(ctx, req)
		if promotion.KindOf(err) == promotion.KindNotFound {
			return []string{}, nil
		}
		if err != nil {
			return nil, err
		}
		for _, v := range page.Versions {
			if v.Digest == d {
				tags = append(tags, v.Tags...)
			}
		}
		if page.Next == "" || page.Next == req.Cursor {
			return tags, nil
		}
		req.Cursor = page.Next
	}
	return nil, c.offTopic()
}

// maxPages bounds the list of one digest's versions.
const maxPages = 100
