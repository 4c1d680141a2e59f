package ociclient

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/publicsuffix"
)

// errRefused is of requests that are not made, however often they are tried.
var errRefused = errors.New("refused")

// guard sees every request last, redirects and token requests included, and
// refuses those that a registry must not lead us to.
type guard struct {
	base       *url.URL
	own        http.RoundTripper // to the registry, or through a proxy
	foreign    http.RoundTripper // to other hosts
	tokenHosts []string
}

func newGuard(base *url.URL, opts Options) *guard {
	g := &guard{base: base, own: opts.Transport, foreign: opts.Transport, tokenHosts: opts.TokenHosts}
	if opts.Transport == nil {
		g.own = newTransport(nil)
		g.foreign = g.own
		if !isLoopback(base.Hostname()) {
			g.foreign = newTransport(refuseLocal)
		}
	}
	return g
}

// newTransport makes connections that control lets through. A proxy is not
// asked by it: what a proxy reaches is its own business.
func newTransport(control func(network, address string, c syscall.RawConn) error) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: control}
	t := &http.Transport{
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 5 * time.Minute, // a large upload is hashed before the answer
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
		DisableCompression:    true,
	}
	if control == nil {
		t.Proxy = http.ProxyFromEnvironment
	}
	return t
}

// refuseLocal keeps a remote registry from leading us to this machine or to
// its cloud's metadata service.
func refuseLocal(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	ip := net.ParseIP(host)
	if ip == nil || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() {
		return fmt.Errorf("%w: a registry may not lead to %s", errRefused, host)
	}
	return nil
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	err := g.check(req)
	if err == nil && g.sameHost(req.URL) {
		return g.own.RoundTrip(req)
	}
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	if proxy, err := http.ProxyFromEnvironment(req); err == nil && proxy != nil {
		return g.own.RoundTrip(req)
	}
	return g.foreign.RoundTrip(req)
}

func (g *guard) check(req *http.Request) error {
	u := req.URL
	same := strings.EqualFold(u.Hostname(), g.base.Hostname())
	if u.Scheme != g.base.Scheme && (u.Scheme != "https" || same) {
		return fmt.Errorf("%w: registry %s leads to %s://%s", errRefused, g.base.Host, u.Scheme, u.Host)
	}
	if g.sameHost(u) {
		return nil
	}
	reads := req.Method == http.MethodGet || req.Method == http.MethodHead
	if (req.Header.Get("Authorization") != "" || !reads) && !g.trusted(u.Hostname()) {
		return fmt.Errorf("%w: registry %s wants credentials or content sent to another host, %s", errRefused, g.base.Host, u.Host)
	}
	return nil
}

// sameHost compares hosts with their ports.
func (g *guard) sameHost(u *url.URL) bool { return hostPort(u) == hostPort(g.base) }

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

// trusted tells a host that may turn credentials into tokens: one of the
// registry's site, as auth.example.com is for registry.example.com.
func (g *guard) trusted(host string) bool {
	host = strings.ToLower(host)
	if slices.Contains(g.tokenHosts, host) {
		return true
	}
	ours, err1 := publicsuffix.EffectiveTLDPlusOne(g.base.Hostname())
	theirs, err2 := publicsuffix.EffectiveTLDPlusOne(host)
	return err1 == nil && err2 == nil && ours == theirs && net.ParseIP(host) == nil
}

// followRedirect lets reads be redirected, a few times. A redirected upload is
// answered as it is, and so refused.
func followRedirect(req *http.Request, via []*http.Request) error {
	first := via[0].Method
	if first != http.MethodGet && first != http.MethodHead {
		return http.ErrUseLastResponse
	}
	if len(via) > 5 {
		return fmt.Errorf("%w: more than 5 redirects", errRefused)
	}
	return nil
}
