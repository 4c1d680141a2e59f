package sign

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// CheckTokenURL refuses an address to which a token must not go: anything but
// https, or http on this machine.
func CheckTokenURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "":
		return errors.New("not the address of a server")
	case u.Scheme == "https", u.Scheme == "http" && thisMachine(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return fmt.Errorf("http:// to %.200s would send the token in the clear", u.Hostname())
	}
	return fmt.Errorf("scheme %q, not https", u.Scheme)
}

func thisMachine(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// TokenTransport is for requests that carry a token. It follows no redirect: a
// token is for whom it was sent to, and nobody else is named by him.
type TokenTransport struct{}

// RoundTrip implements http.RoundTripper.
func (TokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= 300 && res.StatusCode < 400 {
		res.Body.Close()
		return nil, errors.New("it redirects, and a token goes nowhere else; name the address that it redirects to")
	}
	return res, nil
}

// withoutToken is err as one line in which token does not stand, whatever a
// server sent back.
func withoutToken(err error, token string) error {
	text := err.Error()
	if token != "" {
		text = strings.ReplaceAll(text, token, "…")
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) >= minSecretPart {
			text = strings.ReplaceAll(text, part, "…")
		}
	}
	return &toldError{oneLine(text), err}
}

// minSecretPart is how long a part of a token must be to be taken out of texts,
// in bytes: a shorter one is no secret, and could be any word.
const minSecretPart = 16

// toldError shows another text than its cause, which stays for errors.Is.
type toldError struct {
	text  string
	cause error
}

// Error implements error.
func (e *toldError) Error() string { return e.text }

// Is says whether the cause matches.
func (e *toldError) Is(target error) bool { return errors.Is(e.cause, target) }
