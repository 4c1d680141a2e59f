package ociserver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"kiln/registry"
)

// codeUnknown is for what has no code in the spec; Docker's registry uses it.
const codeUnknown registry.Code = "UNKNOWN"

// wireError is an error of the HTTP layer, whose status its code does not tell.
type wireError struct {
	status  int
	code    registry.Code
	message string
	allow   string // of 405: the methods
}

func (e *wireError) Error() string { return e.message }

func notFound(message string) error {
	return &wireError{status: http.StatusNotFound, code: codeUnknown, message: message}
}

func badRequest(message string) error {
	return &wireError{status: http.StatusBadRequest, code: codeUnknown, message: message}
}

// errorList is the body of an error (distribution spec, "Error Codes").
type errorList struct {
	Errors []errorItem `json:"errors"`
}

type errorItem struct {
	Code    registry.Code `json:"code"`
	Message string        `json:"message"`
}

// fail answers with an error. What is no fault of the client's goes to the log
// with its cause, and to the client as an id to ask for.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, q Request, err error) {
	e := s.describe(w, r, q, err)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	for _, name := range []string{"Content-Length", "Etag", "Cache-Control", contentDigest} {
		h.Del(name) // of what could not be sent
	}
	if e.allow != "" {
		h.Set("Allow", e.allow)
	}
	if e.status == http.StatusTooManyRequests {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(e.status)
	// A client that is gone needs no answer.
	_ = json.NewEncoder(w).Encode(errorList{[]errorItem{{e.code, e.message}}})
}

func (s *Server) describe(w http.ResponseWriter, r *http.Request, q Request, err error) *wireError {
	if e, ok := errors.AsType[*wireError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*registry.Error](err); ok && e.Code.Status() < http.StatusInternalServerError {
		return &wireError{status: e.Code.Status(), code: e.Code, message: e.Message}
	}
	s.logFailure(w, r, q, err)
	e := &wireError{status: http.StatusInternalServerError, code: registry.ErrorCode(err)}
	switch e.code {
	case registry.CodeFull: // the client can do nothing, and should know that
		e.status, e.message = e.code.Status(), "the store is full, nothing was written; its operator has to make room"
		return e
	case "":
		e.code = codeUnknown
	}
	e.message = "internal error, request " + w.Header().Get(requestIDHeader)
	return e
}

// logFailure tells the operator what no client is told.
func (s *Server) logFailure(w http.ResponseWriter, r *http.Request, q Request, err error) {
	level := slog.LevelError
	if r.Context().Err() != nil {
		level = slog.LevelDebug // the client left
	}
	reference := string(q.Digest)
	if reference == "" {
		reference = q.Tag
	}
	s.log.LogAttrs(context.WithoutCancel(r.Context()), level, "request failed",
		slog.String("request_id", w.Header().Get(requestIDHeader)), slog.String("method", r.Method),
		slog.String("repo", q.Repo), slog.String("reference", reference), slog.Any("err", err))
}

// requestIDHeader carries the id; one that a handler in front set is kept.
const requestIDHeader = "X-Request-Id"

func setRequestID(h http.Header) {
	if h.Get(requestIDHeader) == "" {
		b := make([]byte, 8)
		rand.Read(b) // never fails
		h.Set(requestIDHeader, hex.EncodeToString(b))
	}
}
