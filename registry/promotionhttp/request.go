package promotionhttp

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"kiln/registry/promotion"
)

// Bounds of a request; nothing that is asked here comes near them.
const (
	maxQuery    = 8 << 10 // bytes
	maxBody     = 64 << 10
	bodyTimeout = 10 * time.Second
)

// checkQuery refuses a query that two readers could understand differently.
func checkQuery(raw string) *Problem {
	if len(raw) > maxQuery {
		return newProblem(http.StatusRequestURITooLong, promotion.KindInvalid, "a query of %d bytes; at most %d", len(raw), maxQuery)
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return newProblem(http.StatusBadRequest, promotion.KindInvalid, "malformed query: %s", clip(err.Error()))
	}
	for name, v := range values {
		if len(v) > 1 {
			return newProblem(http.StatusBadRequest, promotion.KindInvalid, "the query has %s %d times", clip(name), len(v))
		}
	}
	return nil
}

// readBody reads the body at once, so that a slow one is bounded in time and a
// long operation behind it is not. A POST must say that it is JSON: that is what
// a page of another site cannot do without asking.
func readBody(w http.ResponseWriter, r *http.Request) *Problem {
	if r.Method == http.MethodPost {
		if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
			return newProblem(http.StatusUnsupportedMediaType, promotion.KindInvalid, "the Content-Type is not application/json")
		}
	}
	c := http.NewResponseController(w)
	// A writer that has no deadlines has a server of its own behind it.
	_ = c.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = c.SetReadDeadline(time.Time{})
	if err != nil {
		if _, ok := err.(*http.MaxBytesError); ok {
			return newProblem(http.StatusRequestEntityTooLarge, promotion.KindInvalid, "a body of more than %d bytes", maxBody)
		}
		return newProblem(http.StatusBadRequest, promotion.KindInvalid, "the body ends early or is too slow")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}
