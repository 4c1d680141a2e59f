package ociclient

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"time"
)

// helloTimeout bounds the question whether a port speaks TLS.
const helloTimeout = 3 * time.Second

// Endpoint is where New finds the registry that a reference calls HOST[:PORT]:
// https://HOST, and on loopback http://HOST if what listens there speaks no
// TLS. Only loopback is asked, by the hello of a handshake that goes no
// further: nothing of ours is sent.
func Endpoint(ctx context.Context, host string) string {
	u, err := url.Parse("//" + host)
	if err != nil || !isLoopback(u.Hostname()) || speaksTLS(ctx, u.Hostname(), u.Port()) {
		return "https://" + host
	}
	return "http://" + host
}

// speaksTLS says whether a port answers as TLS does, be it to refuse us. A port
// that says nothing, or is closed, does not.
func speaksTLS(ctx context.Context, host, port string) bool {
	if port == "" {
		port = "443"
	}
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	// Whom it shows itself to be is for the connections that carry something.
	dialer := tls.Dialer{Config: &tls.Config{ServerName: host, InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err == nil {
		conn.Close()
		return true
	}
	alert := tls.AlertError(0)
	var refused *net.OpError // crypto/tls wraps an alert of the peer in one
	return errors.As(err, &alert) || errors.As(err, &refused) && refused.Op == "remote error"
}
