package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Bounds of what an issuer can make us wait for and hold.
const (
	fetchTimeout = 10 * time.Second
	maxFetched   = 1 << 20 // bytes
	maxRedirects = 3
)

// reach says which addresses an issuer may have.
type reach int

const (
	publicOnly   reach = iota
	alsoPrivate        // and private networks, and this machine
	loopbackOnly       // of an issuer that is named so
)

// errRefused is of an address or a redirect that is not followed.
var errRefused = errors.New("refused")

// fetcher makes a client that asks an issuer and nobody whom its documents, its
// redirects or its DNS lead to inside (FAULTS 18). It uses no proxy, which
// would hide from us where a connection ends.
func fetcher(allowed reach, roots *x509.CertPool) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		return checkAddress(allowed, address)
	}}
	transport := &http.Transport{
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: fetchTimeout,
		MaxIdleConns:          2,
		IdleConnTimeout:       30 * time.Second,
	}
	return &http.Client{
		Transport: bounded{next: transport, plain: allowed == loopbackOnly}, CheckRedirect: sameServer, Timeout: fetchTimeout,
	}
}

// bounded refuses to ask in the clear, and to hold a large answer.
type bounded struct {
	next  http.RoundTripper
	plain bool // http is fine: it stays on this machine
}

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !b.plain {
		return nil, fmt.Errorf("%w: %s is not https", errRefused, r.URL.Redacted())
	}
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxFetched)
	}
	return resp, err
}

func sameServer(r *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > maxRedirects || r.URL.Scheme != first.Scheme || !strings.EqualFold(r.URL.Host, first.Host) {
		return fmt.Errorf("%w: a redirect from %s to %s", errRefused, first.Host, r.URL.Host)
	}
	return nil
}

// checkAddress is asked with what a name resolved to, for each connection.
func checkAddress(allowed reach, address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s is no address", errRefused, address)
	}
	ip := at.Addr().Unmap().WithZone("")
	ok := false
	switch allowed {
	case loopbackOnly:
		ok = ip.IsLoopback()
	case alsoPrivate:
		ok = !never(ip)
	default:
		ok = !never(ip) && !internal(ip)
	}
	if !ok {
		return fmt.Errorf("%w: an issuer may not be at %s", errRefused, ip)
	}
	return nil
}

// never are addresses of no issuer: metadata services of clouds, and what is no
// host.
func never(ip netip.Addr) bool {
	return ip.IsUnspecified() || ip.IsMulticast() || ip.IsLinkLocalUnicast() || inside(ip,
		"0.0.0.0/8", "240.0.0.0/4", "168.63.129.16/32", "100.100.100.200/32", "fd00:ec2::254/128",
		"64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32") // that hold an IPv4 address
}

// internal are addresses of private networks, and of this machine.
func internal(ip netip.Addr) bool {
	return ip.IsLoopback() || ip.IsPrivate() || inside(ip, "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "fec0::/10")
}

func inside(ip netip.Addr, prefixes ...string) bool {
	for _, p := range prefixes {
		if netip.MustParsePrefix(p).Contains(ip) {
			return true
		}
	}
	return false
}

// isLoopbackHost tells a host that is this machine whatever a resolver says.
func isLoopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// reachOf is what an issuer may be reached at, and an error for a URL that is
// none.
func reachOf(issuerURL string, private bool) (reach, error) {
	u, err := url.Parse(issuerURL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return 0, errors.New("its url is not https://host[/path]")
	case isLoopbackHost(u.Hostname()) && (u.Scheme == "http" || u.Scheme == "https"):
		return loopbackOnly, nil
	case u.Scheme != "https":
		return 0, errors.New("its url is not https, and it is not on this machine")
	case private:
		return alsoPrivate, nil
	}
	return publicOnly, nil
}

// detached is a context for what is fetched for all who wait, not only for the
// one who came first.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
}
