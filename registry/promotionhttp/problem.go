package promotionhttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"kiln/registry"
	"kiln/registry/promotion"

	"github.com/danielgtaylor/huma/v2"
	"github.com/opencontainers/go-digest"
)

// problemType is the media type of RFC 9457.
const problemType = "application/problem+json"

// Problem is the body of every error: a problem document (RFC 9457) of type
// about:blank with a few members of ours.
type Problem struct {
	Title     string             `json:"title" doc:"The status in words"`
	Status    int                `json:"status"`
	Detail    string             `json:"detail" doc:"What went wrong, for the person"`
	Kind      promotion.Kind     `json:"kind" enum:"internal,invalid,denied,unauthenticated,verification,revoked,conflict,not_found" doc:"What it asks of the caller"`
	Hint      string             `json:"hint,omitempty" doc:"What to do"`
	Reasons   []promotion.Reason `json:"reasons,omitempty" doc:"Of a denial: each rule that refused, and what would satisfy it"`
	Current   *digest.Digest     `json:"current,omitempty" doc:"Of a conflict: what the channel holds, empty for nothing"`
	RequestID string             `json:"request_id,omitempty" doc:"To look for in the server's log"`
}

var _ huma.StatusError = (*Problem)(nil)

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is huma's name for the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is huma's way to ask for the media type.
func (p *Problem) ContentType(string) string { return problemType }

// statuses is the one table from kind to HTTP status. A failed verification is
// damage in the store, which is the server's fault.
var statuses = map[promotion.Kind]int{
	promotion.KindInternal:     http.StatusInternalServerError,
	promotion.KindInvalid:      http.StatusBadRequest,
	promotion.KindDenied:       http.StatusForbidden,
	promotion.KindVerification: http.StatusInternalServerError,
	promotion.KindRevoked:      http.StatusUnprocessableEntity,
	promotion.KindConflict:     http.StatusConflict,
	promotion.KindNotFound:     http.StatusNotFound,

	promotion.KindUnauthenticated: http.StatusUnauthorized,
}

// newProblem is a problem of the HTTP layer.
func newProblem(status int, kind promotion.Kind, format string, args ...any) *Problem {
	return &Problem{Status: status, Title: http.StatusText(status), Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// problemOf is what a client is told about an error. The caller logs it if the
// status is 500.
func problemOf(ctx context.Context, err error) *Problem {
	kind := promotion.KindOf(err)
	status, ok := statuses[kind]
	id := callerOf(ctx).requestID
	if !ok || kind == promotion.KindInternal {
		p := newProblem(http.StatusInternalServerError, promotion.KindInternal, "internal error, request %s", id)
		p.RequestID = id
		return p
	}
	p := newProblem(status, kind, "%s", message(err))
	p.RequestID = id
	if e, ok := errors.AsType[*promotion.Error](err); ok {
		p.Hint, p.Reasons = e.Hint, e.Reasons
		if kind == promotion.KindConflict {
			p.Current = &e.Current
		}
	}
	return p
}

// message is the text of the outermost error that was written for strangers.
func message(err error) string {
	if e, ok := errors.AsType[*promotion.Error](err); ok {
		return e.Message
	}
	if e, ok := errors.AsType[*registry.Error](err); ok {
		return e.Message
	}
	return "somebody else was faster; try again"
}

// fromHuma puts what huma says of a request it cannot read into our form. It is
// a huma.Transformer.
func fromHuma(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	if a, ok := ctx.(*answer); ok {
		a.malformed = true
	}
	status, kind := refusal(m.Status), promotion.KindInvalid
	if status >= http.StatusInternalServerError {
		kind = promotion.KindInternal
	}
	details := []string{m.Detail}
	for _, e := range m.Errors[:min(len(m.Errors), maxDetails)] {
		details = append(details, strings.Trim(e.Location+": "+e.Message, ": "))
	}
	p := newProblem(status, kind, "%s", clip(strings.Join(details, "; ")))
	p.RequestID = callerOf(ctx.Context()).requestID
	return p, nil
}

// maxDetails bounds what one problem says about a malformed request.
const maxDetails = 5

// refusal is the status of a malformed request: where huma says 422, we say 400
// as for names that are malformed.
func refusal(status int) int {
	if status == http.StatusUnprocessableEntity {
		return http.StatusBadRequest
	}
	return status
}

// clip keeps a hostile value from flooding a message.
func clip(s string) string {
	if len(s) > 400 {
		return strings.ToValidUTF8(s[:400], "") + "…"
	}
	return s
}

// write answers with the problem.
func (p *Problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	// A client that is gone needs no answer.
	_ = json.NewEncoder(w).Encode(p)
}
