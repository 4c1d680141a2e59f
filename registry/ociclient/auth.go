package ociclient

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// What a request wants to do with its repository.
const (
	pull    = "pull"
	push    = "pull,push"
	remove  = "pull,push,delete"
	catalog = "registry:catalog:*"
)

// maxAuths bounds the tokens that are kept, one for each repository and verb.
const maxAuths = 1000

// authorized returns a transport that has a token, or credentials, for scopes.
func (c *Client) authorized(ctx context.Context, scopes ...string) (http.RoundTripper, error) {
	key := strings.Join(scopes, " ")
	c.mu.Lock()
	rt := c.auths[key]
	if rt == nil {
		rt = c.auths[""] // an open registry's
	}
	c.mu.Unlock()
	if rt != nil {
		return rt, nil
	}
	rt, open, err := c.login(ctx, scopes)
	if err != nil {
		return nil, err
	}
	if open {
		key = ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.auths) >= maxAuths {
		clear(c.auths)
	}
	c.auths[key] = rt
	return rt, nil
}

// login asks the registry what it wants, and gets it. open tells that it wants
// nothing.
func (c *Client) login(ctx context.Context, scopes []string) (rt http.RoundTripper, open bool, err error) {
	auth := authn.Anonymous
	if c.base.Scheme == "https" || isLoopback(c.base.Hostname()) {
		if auth, err = authn.Resolve(ctx, c.keychain, c.reg); err != nil {
			return nil, false, err
		}
	}
	if auth == authn.Anonymous {
		challenge, err := transport.Ping(ctx, c.reg, c.guard)
		if err != nil {
			return nil, false, err
		}
		if challenge.Scheme == "" {
			return c.guard, true, nil
		}
	}
	rt, err = transport.NewWithContext(ctx, c.reg, auth, transport.NewUserAgent(c.guard, c.userAgent), scopes)
	return rt, false, err
}
