package access

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"kiln/registry"
)

// TokenPath is where session tokens are made.
const TokenPath = "/v2/token"

// Handler finds out who asks and tells next, by From(r.Context()). It refuses
// wrong credentials; whether a stranger is let in is for the guards to say, as
// it is what anybody may do: only the page by which clients find the token
// endpoint, /v2/, wants a token always, an anonymous one at least. It answers
// TokenPath itself, and adds the challenge to whatever 401 next answers.
func (g *Gate) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == TokenPath {
			g.serveToken(w, r)
			return
		}
		id, err := g.authenticate(r)
		if err != nil {
			g.refuse(w, r, err)
			return
		}
		if id.Anonymous && id.narrow == nil && strings.TrimSuffix(r.URL.Path, "/") == "/v2" {
			g.challenge(w.Header(), r, "")
			writeError(w, r, http.StatusUnauthorized, registry.CodeUnauthorized, "authentication required")
			return
		}
		if id.Anonymous || id.narrow != nil {
			w = &challenger{ResponseWriter: w, challenge: func(h http.Header) { g.challengeMore(h, r, id) }}
		}
		next.ServeHTTP(w, r.WithContext(With(r.Context(), id)))
	})
}

// refuse answers a request with wrong credentials, or one whose credentials
// cannot be checked now.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errInvalid):
		g.challenge(w.Header(), r, "invalid_token")
		writeError(w, r, http.StatusUnauthorized, registry.CodeUnauthorized, err.Error())
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "60")
		writeError(w, r, http.StatusTooManyRequests, registry.CodeTooManyRequests, err.Error())
	default:
		if r.Context().Err() == nil {
			g.log.Error("credentials cannot be checked", "err", err)
		}
		message := "credentials cannot be checked now"
		if errors.Is(err, errUnreachable) {
			message = errUnreachable.Error()
		}
		w.Header().Set("Retry-After", "5")
		writeError(w, r, http.StatusServiceUnavailable, "UNAVAILABLE", message)
	}
}

// isRegistry says whether a path is the distribution API's, which has its own
// form of errors and challenges.
func isRegistry(path string) bool { return path == "/v2" || strings.HasPrefix(path, "/v2/") }

// writeError answers in the form of the API that was asked: the distribution
// spec's, or a problem document (RFC 9457) like promotionhttp's.
func writeError(w http.ResponseWriter, r *http.Request, status int, code registry.Code, message string) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	var body any
	if isRegistry(r.URL.Path) {
		h.Set("Content-Type", "application/json")
		h.Set("Docker-Distribution-Api-Version", "registry/2.0")
		body = map[string]any{"errors": []map[string]any{{"code": code, "message": message}}}
	} else {
		h.Set("Content-Type", "application/problem+json")
		kind := "unauthenticated"
		if status != http.StatusUnauthorized {
			kind = "internal"
		}
		body = map[string]any{"title": http.StatusText(status), "status": status, "detail": message, "kind": kind}
	}
	w.WriteHeader(status)
	// A client that is gone needs no answer.
	_ = json.NewEncoder(w).Encode(body)
}
