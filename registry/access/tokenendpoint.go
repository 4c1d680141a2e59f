package access

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"kiln/registry"
)

// maxForm bounds the body of a token request, in bytes.
const maxForm = 64 << 10

// sessionAnswer is the answer of the token endpoint (distribution's token
// specification; its OAuth2 variant reads access_token).
type sessionAnswer struct {
	Token       string `json:"token"`
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	IssuedAt    string `json:"issued_at"`
	Scope       string `json:"scope,omitempty"`
}

// serveToken turns credentials into a session token: GET with Basic or Bearer
// (distribution's "Token Authentication Specification"), POST with a form (its
// "OAuth2" one: grant_type password, or refresh_token with a robot token or an
// ID token). A session is not turned into another, which would never end.
func (g *Gate) serveToken(w http.ResponseWriter, r *http.Request) {
	var c credentials
	var err error
	params := r.URL.Query()["scope"]
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		c, err = parseAuthorization(r.Header)
	case http.MethodPost:
		c, params, err = readForm(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		writeError(w, r, http.StatusMethodNotAllowed, registry.CodeUnsupported, "the token endpoint takes GET and POST")
		return
	}
	if e, ok := errors.AsType[*formError](err); ok {
		writeError(w, r, http.StatusBadRequest, "UNKNOWN", e.Error())
		return
	}
	access, scopeErr := parseScopes(params)
	if scopeErr != nil {
		writeError(w, r, http.StatusBadRequest, "UNKNOWN", scopeErr.Error())
		return
	}
	if err == nil {
		err = g.answerToken(w, r, c, access)
	}
	if errors.Is(err, errInvalid) {
		w.Header().Set("Www-Authenticate", `Basic realm="kiln", charset="UTF-8"`)
		writeError(w, r, http.StatusUnauthorized, registry.CodeUnauthorized, err.Error())
	} else if err != nil {
		g.refuse(w, r, err)
	}
}

// formError is of a form that is no token request.
type formError struct{ reason string }

func (e *formError) Error() string { return e.reason }

// readForm reads the credentials and the scopes of an OAuth2 request.
func readForm(w http.ResponseWriter, r *http.Request) (credentials, []string, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(fetchTimeout))
	if err := r.ParseForm(); err != nil {
		return credentials{}, nil, &formError{"the form is malformed or too large"}
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	form := r.PostForm
	switch form.Get("grant_type") {
	case "password":
		if form.Get("username") == "" || form.Get("password") == "" {
			return credentials{}, nil, errInvalid
		}
		return credentials{user: form.Get("username"), secret: form.Get("password")}, form["scope"], nil
	case "refresh_token":
		if form.Get("refresh_token") == "" {
			return credentials{}, nil, errInvalid
		}
		return credentials{secret: form.Get("refresh_token"), bearer: true}, form["scope"], nil
	}
	return credentials{}, nil, &formError{"grant_type is neither password nor refresh_token"}
}

// answerToken answers with a session of who presents c. Strangers get one where
// there is something for them.
func (g *Gate) answerToken(w http.ResponseWriter, r *http.Request, c credentials, access scopes) error {
	id, p := Identity{Name: AnonymousName, Anonymous: true}, proof{Kind: byAnonymous}
	var err error
	switch {
	case c.present():
		if id, p, err = g.identify(r.Context(), c, g.address(r)); err != nil {
			g.logFailure(r, c, err)
		}
	case len(g.anonymous) == 0:
		err = errInvalid
	}
	if err != nil {
		return err
	}
	token, issued, expires, err := g.sessions.issue(id, p, access)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// A client that is gone needs no answer.
	_ = json.NewEncoder(w).Encode(sessionAnswer{
		Token: token, AccessToken: token, TokenType: "Bearer", ExpiresIn: int64(expires.Sub(issued) / time.Second), IssuedAt: issued.Format(time.RFC3339),
	})
	return nil
}
