package promotionhttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"kiln/registry/promotion"
)

// Bounds on what a server can make the client hold and wait for.
const (
	maxAnswer  = 64 << 20 // bytes; a resolution carries at most 12 MiB of bundles
	maxProblem = 1 << 20
	tries      = 4 // of a request that changes nothing
	firstPause = 200 * time.Millisecond
)

// get asks for out with a query.
func (c *Client) get(ctx context.Context, path string, query url.Values, out any) error {
	pause := firstPause
	for try := 1; ; try++ {
		again, err := c.call(ctx, http.MethodGet, path, query, nil, out)
		if err == nil || !again || try == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return unreachable(ctx.Err())
		case <-time.After(pause):
			pause *= 2
		}
	}
}

// post sends in and reads out.
func (c *Client) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	_, err = c.call(ctx, http.MethodPost, path, nil, body, out)
	return err
}

// call makes one request; again says that the same may succeed in a moment.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, body []byte, out any) (again bool, err error) {
	u := *c.base
	u.Path, u.RawQuery = BasePath+path, query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("ask %s: %w", c.base, err)
	}
	req.Header.Set("Accept", "application/json, "+problemType)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if err := c.authorize(req); err != nil {
		return false, fmt.Errorf("credentials for %s: %w", c.base.Host, err)
	}
	resp, err := c.http.Do(req)
	if e, ok := errors.AsType[redirectError](err); ok {
		return false, &promotion.Error{Kind: promotion.KindInternal, Message: fmt.Sprintf("ask %s: %v", c.base, e), Err: err}
	}
	if err != nil {
		return ctx.Err() == nil, unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		return false, c.decode(resp, out)
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		again = true
	}
	return again, c.refused(resp)
}

// authorize says who asks: by the token, or else by what Login knows.
func (c *Client) authorize(req *http.Request) error {
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
		return nil
	}
	if c.login == nil {
		return nil
	}
	user, password, err := c.login(req.Context())
	if err == nil && user != "" {
		req.SetBasicAuth(user, password)
	}
	return err
}

// loginHint is what to do about a 401.
func (c *Client) loginHint() string {
	return "KILN_TOKEN holds a token for the server, or docker login " + c.base.Host + " puts a password where kiln finds it"
}

// unreachable is the error of a request without an answer.
func unreachable(err error) error {
	e := &promotion.Error{Kind: promotion.KindInternal, Message: err.Error(), Err: err}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok { // which says what is wrong
		e.Hint = "is the server of --store running, and is this its address?"
	}
	return e
}

// decode reads an answer, which must be the JSON that was asked for; a nil out
// asks for none.
func (c *Client) decode(resp *http.Response, out any) error {
	if out == nil {
		return nil
	}
	if t := mediaType(resp); t != "application/json" {
		return c.noKiln(resp)
	}
	content, err := readAll(resp.Body, maxAnswer)
	if err != nil {
		return unreachable(fmt.Errorf("answer of %s: %w", c.base, err))
	}
	if err := json.Unmarshal(content, out); err != nil {
		return &promotion.Error{Kind: promotion.KindInternal, Message: fmt.Sprintf("answer of %s: %v", c.base, err), Err: err}
	}
	return nil
}

// refused makes the server's error ours.
func (c *Client) refused(resp *http.Response) error {
	if mediaType(resp) != problemType {
		return c.noKiln(resp)
	}
	content, err := readAll(resp.Body, maxProblem)
	if err != nil {
		return unreachable(fmt.Errorf("answer of %s: %w", c.base, err))
	}
	var p Problem
	if err := json.Unmarshal(content, &p); err != nil || p.Detail == "" {
		return c.noKiln(resp)
	}
	e := &promotion.Error{Kind: p.Kind, Message: p.Detail, Hint: p.Hint, Reasons: p.Reasons}
	if _, ok := statuses[p.Kind]; !ok {
		e.Kind = promotion.KindInternal
	}
	if e.Kind == promotion.KindUnauthenticated {
		e.Hint = c.loginHint()
	}
	if e.Kind == promotion.KindConflict && p.Current != nil {
		e.Current = *p.Current
	}
	return e
}

// noKiln is the error of an answer that no kiln gave: of a proxy, or of some
// other server.
func (c *Client) noKiln(resp *http.Response) error {
	e := &promotion.Error{Kind: promotion.KindInternal, Message: fmt.Sprintf("%s answers %d with no document of kiln's", c.base, resp.StatusCode)}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		e.Kind = promotion.KindDenied
		e.Message = fmt.Sprintf("%s answers %d", c.base, resp.StatusCode)
		e.Hint = c.loginHint()
	default:
		e.Hint = "is --store the address of a kiln serve?"
	}
	return e
}

func mediaType(resp *http.Response) string {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// readAll refuses more than limit bytes.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = errors.New("larger than any answer of a kiln")
	}
	return content, err
}
