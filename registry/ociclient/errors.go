package ociclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"

	"kiln/registry"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// byStatus is what an answer means that brings no code of the spec.
var byStatus = map[int]registry.Code{
	http.StatusUnauthorized:                 registry.CodeUnauthorized,
	http.StatusForbidden:                    registry.CodeDenied,
	http.StatusMethodNotAllowed:             registry.CodeUnsupported,
	http.StatusConflict:                     registry.CodeConflict,
	http.StatusRequestEntityTooLarge:        registry.CodeSizeInvalid,
	http.StatusRequestedRangeNotSatisfiable: registry.CodeRangeInvalid,
	http.StatusTooManyRequests:              registry.CodeTooManyRequests,
}

// maxError bounds an error's body, in bytes.
const maxError = 64 << 10

// responseError makes an error of an answer that was not hoped for.
func (c *Client) responseError(q call, resp *http.Response) error {
	code, message := readError(resp.Body)
	if message == "" {
		message = fmt.Sprintf("%s %s: %s", q.method, q.url.Path, resp.Status)
	}
	message = c.base.Host + ": " + printable(message)
	if code == registry.CodeCorrupt || code == registry.CodeFull {
		return registry.Errorf(code, "%s", message)
	}
	if resp.StatusCode >= http.StatusInternalServerError {
		return &statusError{resp.StatusCode, message}
	}
	if code == "" || code.Status() == http.StatusInternalServerError { // not one of the spec's
		code = byStatus[resp.StatusCode]
		if resp.StatusCode == http.StatusNotFound {
			code = q.unknown
		}
	}
	if code == "" {
		return &statusError{resp.StatusCode, message}
	}
	return c.refusal(q, registry.Errorf(code, "%s", message))
}

// RefusedError is a registry's refusal to one who is not known, or may not: a
// *registry.Error of CodeUnauthorized or CodeDenied is below it.
type RefusedError struct {
	Host   string
	Action string // pull, push, delete or list
	Err    error
}

func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns the coded error.
func (e *RefusedError) Unwrap() error { return e.Err }

// refusal says of what err refuses who refused what.
func (c *Client) refusal(q call, err *registry.Error) error {
	if err.Code != registry.CodeUnauthorized && err.Code != registry.CodeDenied {
		return err
	}
	e := &RefusedError{Host: c.base.Host, Action: "list", Err: err}
	if len(q.scopes) > 0 && q.scopes[0] != catalog {
		actions := strings.FieldsFunc(q.scopes[0], func(r rune) bool { return r == ':' || r == ',' })
		e.Action = actions[len(actions)-1]
	}
	return e
}

// readError reads the body that the spec gives errors ("Error Codes").
func readError(body io.Reader) (registry.Code, string) {
	var list struct {
		Errors []struct {
			Code    registry.Code `json:"code"`
			Message string        `json:"message"`
		} `json:"errors"`
	}
	if json.NewDecoder(io.LimitReader(body, maxError)).Decode(&list) != nil || len(list.Errors) == 0 {
		return "", ""
	}
	first := list.Errors[0]
	if first.Message == "" {
		return first.Code, string(first.Code)
	}
	return first.Code, first.Message
}

// printable keeps what a registry says from steering a terminal.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if len(s) > 1000 {
		s = strings.ToValidUTF8(s[:1000], "") + "…"
	}
	return s
}

// loginError names the registry that we could not log in to, and its code.
func (c *Client) loginError(q call, err error) error {
	e, ok := errors.AsType[*transport.Error](err)
	if !ok || e.Temporary() {
		return fmt.Errorf("registry %s: %w", c.base.Host, err)
	}
	code := byStatus[e.StatusCode]
	if code == "" {
		return fmt.Errorf("registry %s: %w", c.base.Host, err)
	}
	return c.refusal(q, registry.Errorf(code, "registry %s: %s", c.base.Host, printable(e.Error())))
}
