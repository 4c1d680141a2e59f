package access

import (
	"net"
	"net/http"
	"strings"

	"kiln/registry"
)

// challenge says how to authenticate. For the registry it names the token
// endpoint and nothing else: docker's client, offered Basic as well, would not
// pull without a password any more (it takes Basic all the same). Elsewhere
// browsers and curl find what they know.
func (g *Gate) challenge(h http.Header, r *http.Request, problem string) {
	suffix := ""
	if problem != "" {
		suffix = `,error="` + problem + `"`
	}
	if !isRegistry(r.URL.Path) {
		h.Set("Www-Authenticate", `Bearer realm="kiln"`+suffix)
		h.Add("Www-Authenticate", `Basic realm="kiln", charset="UTF-8"`)
		return
	}
	c := `Bearer realm="` + quoted(g.realm(r)) + `",service="` + Service + `"`
	if wanted := scopesOf(r); len(wanted) > 0 {
		c += `,scope="` + strings.Join(wanted, " ") + `"`
	}
	h.Set("Www-Authenticate", c+suffix)
}

// challengeMore is the challenge for an identity that may not do enough.
func (g *Gate) challengeMore(h http.Header, r *http.Request, id Identity) {
	if id.narrow == nil {
		g.challenge(h, r, "")
		return
	}
	g.challenge(h, r, "insufficient_scope")
}

// realm is the URL of the token endpoint. Passwords are sent there, so what came
// in the clear, but from another machine, came through a proxy that speaks TLS.
func (g *Gate) realm(r *http.Request) string {
	if g.url != "" {
		return g.url + TokenPath
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if r.TLS == nil && isLoopbackHost(strings.Trim(host, "[]")) {
		return "http://" + r.Host + TokenPath
	}
	return "https://" + r.Host + TokenPath
}

// quoted is a value between quotes (RFC 9110, quoted-string).
func quoted(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == '"' || c == '\\' || c > '~' {
			return -1
		}
		return c
	}, s)
}

// scopesOf are the scopes that a request to the registry wants.
func scopesOf(r *http.Request) []string {
	rest, ok := strings.CutPrefix(r.URL.Path, "/v2/")
	if !ok {
		return nil
	}
	if rest == "_catalog" {
		return []string{"registry:catalog:*"}
	}
	repo := ""
	for _, part := range []string{"/manifests/", "/blobs/", "/tags/", "/referrers/"} {
		if at := strings.LastIndex(rest, part); at > len(repo) {
			repo = rest[:at]
		}
	}
	if registry.CheckName(repo) != nil {
		return nil
	}
	actions := "pull,push"
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		actions = "pull"
	case http.MethodDelete:
		actions = "delete"
	}
	list := []string{scope{"repository", repo, []string{actions}}.String()}
	if from := r.URL.Query().Get("from"); from != "" && r.Method == http.MethodPost && registry.CheckName(from) == nil {
		list = append(list, scope{"repository", from, []string{"pull"}}.String())
	}
	return list
}

// challenger adds the challenge to a 401 of who answers behind the Gate.
type challenger struct {
	http.ResponseWriter
	challenge func(http.Header)
}

// WriteHeader implements http.ResponseWriter.
func (c *challenger) WriteHeader(status int) {
	if status == http.StatusUnauthorized && c.Header().Get("Www-Authenticate") == "" {
		c.challenge(c.Header())
	}
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (c *challenger) Unwrap() http.ResponseWriter { return c.ResponseWriter }
