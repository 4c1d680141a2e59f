package promotionhttp

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"kiln/registry/promotion"
)

// Loopback guards a server that listens on loopback and asks nobody who they
// are. It refuses, with 403, requests that came through a proxy, whose Host is
// not this machine (DNS rebinding), or that a page of another machine makes a
// browser send (Origin).
func Loopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if why := foreign(r); why != "" {
			p := newProblem(http.StatusForbidden, promotion.KindDenied, "this server is open to its own machine only: %s", why)
			p.Hint = "ask it as 127.0.0.1 or localhost, without a proxy"
			w.Header().Set("X-Content-Type-Options", "nosniff")
			p.write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// foreign says why a request does not come from this machine, or "".
func foreign(r *http.Request) string {
	for name := range r.Header {
		if isForwarding(name) {
			return "the request has the header " + name + " of a proxy"
		}
	}
	if !isLoopback(hostname(r.Host)) {
		return "the Host is another"
	}
	for _, origin := range r.Header["Origin"] {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || !isLoopback(u.Hostname()) {
			return "the request comes from a page of another origin"
		}
	}
	return ""
}

// forwarding are headers that proxies add, besides X-Forwarded-*.
func forwarding() []string {
	return []string{
		"Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Originating-Ip", "X-Original-Host",
		"X-Original-Forwarded-For", "X-Original-Url", "X-Rewrite-Url", "X-Proxyuser-Ip", "True-Client-Ip", "Client-Ip",
		"Cf-Connecting-Ip", "Fastly-Client-Ip", "X-Envoy-External-Address", "X-Appengine-User-Ip",
	}
}

func isForwarding(name string) bool {
	name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
	return name == "X-Forwarded" || strings.HasPrefix(name, "X-Forwarded-") || slices.Contains(forwarding(), name)
}

// hostname is a Host header without its port, "" for what is none.
func hostname(host string) string {
	if name, port, err := net.SplitHostPort(host); err == nil {
		if strings.Trim(port, "0123456789") != "" {
			return ""
		}
		return name
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if !ok {
			return ""
		}
		return inner
	}
	return host
}
