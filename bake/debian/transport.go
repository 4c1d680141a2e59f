package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// transport reads files of a mirror, over HTTP or from a folder.
type transport struct {
	client *http.Client
	// pause before the first repetition, doubled each time.
	pause time.Duration
}

const (
	attempts     = 4
	stallTimeout = 60 * time.Second
)

// newTransport wraps client, or one with sensible time limits when it is nil.
func newTransport(client *http.Client) transport {
	if client == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.ResponseHeaderTimeout = stallTimeout
		t.MaxIdleConnsPerHost = 16
		client = &http.Client{Transport: t}
	}
	return transport{client: client, pause: 200 * time.Millisecond}
}

// StatusError is an answer other than 200 to a request for a file. One that
// says "not here" is fs.ErrNotExist.
type StatusError struct {
	Location string // as far as it may be shown
	Code     int    // of HTTP
}

// Error names the place and the answer.
func (e *StatusError) Error() string {
	return fmt.Sprintf("get %s: %d %s", e.Location, e.Code, http.StatusText(e.Code))
}

// Is implements errors.Is.
func (e *StatusError) Is(target error) bool {
	return target == fs.ErrNotExist && (e.Code == http.StatusNotFound || e.Code == http.StatusGone)
}

// get hands the content of path below base to sink, again from the start when
// the connection fails on the way. An absent file is fs.ErrNotExist. Errors of
// sink other than of reading are not repeated. fresh asks caches on the way to
// look at the archive.
func (t transport) get(ctx context.Context, base, path string, fresh bool, sink func(io.Reader) error) error {
	location := strings.TrimSuffix(base, "/") + "/" + path
	if dir, ok := localDir(base); ok {
		return readLocal(filepath.Join(dir, filepath.FromSlash(path)), sink)
	}
	var err error
	pause := t.pause
	for try := range attempts {
		if try > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(pause):
				pause *= 2
			}
		}
		if err = t.once(ctx, location, fresh, sink); !temporary(ctx, err) {
			break
		}
	}
	return err
}

// temporary says whether a repetition may help.
func temporary(ctx context.Context, err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return status.Code >= 500 || status.Code == http.StatusTooManyRequests
	}
	var network *networkError
	return errors.As(err, &network) && ctx.Err() == nil
}

// networkError is a failure to reach the mirror or to read on.
type networkError struct {
	location string
	err      error
}

func (e *networkError) Error() string { return fmt.Sprintf("get %s: %v", e.location, e.err) }
func (e *networkError) Unwrap() error { return e.err }

func (t transport) once(ctx context.Context, location string, fresh bool, sink func(io.Reader) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return err
	}
	if fresh {
		req.Header.Set("Cache-Control", "no-cache")
	}
	resp, err := t.client.Do(req)
	if err != nil {
		var detail *url.Error
		if errors.As(err, &detail) {
			err = detail.Err
		}
		return &networkError{redact(location), err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &StatusError{redact(location), resp.StatusCode}
	}
	body := &watchedReader{r: resp.Body, location: redact(location), timer: time.AfterFunc(stallTimeout, cancel)}
	defer body.timer.Stop()
	err = sink(body)
	if body.err != nil {
		return body.err
	}
	return err
}

// watchedReader ends a transfer that stalls and remembers failures to read,
// so that they are told from failures of the reader's user.
type watchedReader struct {
	r        io.Reader
	location string
	timer    *time.Timer
	err      error
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.timer.Reset(stallTimeout)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = &networkError{w.location, err}
		return n, w.err
	}
	return n, err
}

// redact leaves a password in a mirror's URL out of messages.
func redact(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return location
	}
	return u.Redacted()
}

// localDir returns the folder of a mirror that is one: file:/path,
// file:///path or a plain absolute path.
func localDir(base string) (string, bool) {
	for _, prefix := range []string{"file://", "file:", "copy://", "copy:"} {
		if rest, ok := strings.CutPrefix(base, prefix); ok {
			return rest, true
		}
	}
	return base, strings.HasPrefix(base, "/")
}

func readLocal(path string, sink func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return sink(f)
}
