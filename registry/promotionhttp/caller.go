package promotionhttp

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"

	"kiln/registry"

	"github.com/danielgtaylor/huma/v2"
)

// requestIDHeader carries the id; one that a handler in front set is kept.
const requestIDHeader = "X-Request-Id"

// caller is what a handler has to know about a request besides its input.
type caller struct {
	by        string // identity; "" for none
	host      string // of references
	requestID string
}

type callerKey struct{}

// callerOf is the caller that ServeHTTP put into ctx.
func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// withCaller gives the handlers what they have to know.
func (s *Server) withCaller(w http.ResponseWriter, r *http.Request) *http.Request {
	c := caller{host: s.host, requestID: w.Header().Get(requestIDHeader)}
	if c.host == "" {
		c.host = r.Host
	}
	if c.requestID == "" {
		b := make([]byte, 8)
		rand.Read(b) // never fails
		c.requestID = hex.EncodeToString(b)
		w.Header().Set(requestIDHeader, c.requestID)
	}
	if s.identity != nil {
		c.by = s.identity(r)
	}
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
}

// isHost says whether host can stand in front of an image in a reference: a
// name with a dot or a port, localhost, or an address.
func isHost(host string) bool {
	ref, err := registry.ParseReference(host + "/x")
	return err == nil && ref.Host == host && ref.Name == "x" && ref.Tag == "" && ref.Digest == ""
}

// answer is a huma.Context whose status is ours where the request is malformed.
type answer struct {
	humaContext
	malformed bool
}

type humaContext = huma.Context // an embedded Context would hide its method

// SetStatus answers what huma calls 422 with 400.
func (a *answer) SetStatus(status int) {
	if a.malformed {
		status = refusal(status)
	}
	a.humaContext.SetStatus(status)
}
