package ociserver_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"kiln/registry/contentstore"
	"kiln/registry/ociserver"
	"kiln/registry/registrytest"
	"kiln/registry/store"
	"kiln/registry/store/filestore"
)

// world is a server over a registry in a folder.
type world struct {
	t   *testing.T
	reg *contentstore.Registry
	url string
}

func newWorld(t *testing.T, opts ociserver.Options) *world {
	t.Helper()
	s, err := filestore.Open(t.Context(), t.TempDir(), filestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	return newWorldOver(t, s, s.Pointers(), opts)
}

// newWorldOver is a server over a registry in any store.
func newWorldOver(t *testing.T, s store.Store, p store.Pointers, opts ociserver.Options) *world {
	t.Helper()
	w := &world{t: t, reg: contentstore.New(s, p, contentstore.Options{})}
	server := httptest.NewServer(ociserver.New(w.reg, opts))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func textLog(to io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(to, nil)) }

func (w *world) host() string { return strings.TrimPrefix(w.url, "http://") }

// answer is what a request got.
type answer struct {
	*http.Response
	body string
}

// do sends a request; headers are names and values in turn.
func (w *world) do(method, path string, body io.Reader, headers ...string) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{resp, string(content)}
}

// want fails unless the answer has this status, and this code where it has one.
func (w *world) want(a answer, status int, code string) {
	w.t.Helper()
	if a.StatusCode != status || code != "" && !strings.Contains(a.body, `"code":"`+code+`"`) {
		w.t.Errorf("%s %s: %s %s, want %d %s", a.Request.Method, a.Request.URL, a.Status, a.body, status, code)
	}
}

func (w *world) wantHeader(a answer, name, value string) {
	w.t.Helper()
	if got := a.Header.Get(name); got != value {
		w.t.Errorf("%s %s: header %s is %q, want %q", a.Request.Method, a.Request.URL, name, got, value)
	}
}

func (w *world) image(content string, tags ...string) string {
	w.t.Helper()
	return registrytest.PushImage(w.t, w.reg, repo, content, tags).Digest.String()
}

const repo = "acme/shop"
