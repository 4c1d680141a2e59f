package ociclient

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"time"

	"kiln/registry"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// call is a request and what its answers mean.
type call struct {
	method  string
	url     *url.URL
	scopes  []string
	header  map[string]string
	body    func() (io.Reader, error) // of each attempt; nil for none
	length  int64                     // of the body; -1 if unknown
	once    bool                      // the body cannot be sent again
	ok      []int                     // 200 by default
	unknown registry.Code             // what 404 means
}

// maxAttempts bounds how often a request is made.
const maxAttempts = 4

// do makes a request, again and again where that may help, until it has an
// answer that the call takes. The caller closes its body.
func (c *Client) do(ctx context.Context, q call) (*http.Response, error) {
	if len(q.ok) == 0 {
		q.ok = []int{http.StatusOK}
	}
	wait := c.wait
	for n := 1; ; n++ {
		resp, err := c.attempt(ctx, q)
		after := time.Duration(0)
		if err == nil {
			if slices.Contains(q.ok, resp.StatusCode) || n > 1 && q.method == http.MethodDelete && resp.StatusCode == http.StatusNotFound {
				return resp, nil // deleted by the attempt whose answer was lost
			}
			after = retryAfter(resp)
			err = c.responseError(q, resp)
			resp.Body.Close()
		}
		if n == maxAttempts || q.once || ctx.Err() != nil || !temporary(err) {
			return nil, err
		}
		if err := sleep(ctx, max(after, wait/2+rand.N(wait))); err != nil {
			return nil, err
		}
		wait *= 2
	}
}

func (c *Client) attempt(ctx context.Context, q call) (*http.Response, error) {
	rt, err := c.authorized(ctx, q.scopes...)
	if err != nil {
		return nil, c.loginError(q, err)
	}
	req, sent, w, err := c.request(ctx, q)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", c.userAgent)
	for name, value := range q.header {
		req.Header.Set(name, value)
	}
	client := &http.Client{Transport: rt, CheckRedirect: followRedirect}
	resp, err := client.Do(req)
	if sent != nil {
		if failed := sent.stop(); failed != nil && err != nil {
			err = failed
		}
	}
	if err != nil {
		return nil, w.explain(err)
	}
	resp.Body = &watchedBody{resp.Body, w}
	return resp, nil
}

// request makes a request that is watched, and what reads its body, if any.
func (c *Client) request(ctx context.Context, q call) (*http.Request, *sentBody, *watch, error) {
	var r io.Reader
	if q.body != nil && q.length != 0 {
		var err error
		if r, err = q.body(); err != nil {
			return nil, nil, nil, err
		}
	}
	ctx, w := newWatch(ctx, c.idle)
	req, err := http.NewRequestWithContext(ctx, q.method, q.url.String(), nil)
	if err != nil {
		w.end()
		return nil, nil, nil, err
	}
	if r == nil {
		return req, nil, w, nil
	}
	sent := &sentBody{r: r, watch: w}
	req.Body, req.ContentLength = sent, q.length
	return req, sent, w, nil
}

// statusError is an answer for which there is no code.
type statusError struct {
	status  int
	message string
}

func (e *statusError) Error() string { return e.message }

// temporary tells what another attempt may cure: not an answer that refuses,
// nor a server that is not there at all.
func temporary(err error) bool {
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.status >= 500 && e.status != http.StatusNotImplemented
	}
	if e, ok := errors.AsType[*transport.Error](err); ok {
		return e.Temporary()
	}
	if code := registry.ErrorCode(err); code != "" {
		return code == registry.CodeTooManyRequests
	}
	return !errors.Is(err, errRefused) && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, errSource)
}

// retryAfter reads the header of that name, in seconds, at most half a minute.
func retryAfter(resp *http.Response) time.Duration {
	n, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, 30*time.Second)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
