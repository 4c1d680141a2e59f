package ociclient_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/ociclient"
	"kiln/registry/ociserver"
	"kiln/registry/registrytest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func read(t *testing.T, c *ociclient.Client, d digest.Digest) string {
	t.Helper()
	content, err := readAll(t, c, d)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func readAll(t *testing.T, c *ociclient.Client, d digest.Digest) (string, error) {
	t.Helper()
	rc, err := c.OpenBlob(t.Context(), repo, d, 0, -1)
	if err != nil {
		return "", err
	}
	defer rc.Close()
	content, err := io.ReadAll(rc)
	return string(content), err
}

func serve(t *testing.T, h http.HandlerFunc) *ociclient.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return newClient(t, s.URL)
}

// TestWrongBytes: 200 with bytes that do not match the digest (zot #4427).
func TestWrongBytes(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		w.Header().Set("Docker-Content-Digest", digest.FromString("right").String())
		fmt.Fprint(w, "wrong")
	})
	if _, err := readAll(t, c, digest.FromString("right")); !errors.Is(err, registry.CodeCorrupt) {
		t.Errorf("blob: %v", err)
	}
	if _, _, err := c.Manifest(t.Context(), repo, digest.FromString("right")); !errors.Is(err, registry.CodeCorrupt) {
		t.Errorf("manifest: %v", err)
	}
}

// TestGiantAnswers: what should be small is not read for ever.
func TestGiantAnswers(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		line := bytes.Repeat([]byte("x"), 1<<20)
		for range 100 {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
		t.Error("all of it was read")
	})
	if _, _, err := c.Manifest(t.Context(), repo, digest.FromString("x")); !errors.Is(err, registry.CodeManifestInvalid) {
		t.Errorf("manifest: %v", err)
	}
	for _, err := range c.Tags(t.Context(), repo, "") {
		if err == nil {
			t.Error("tags of it")
		}
	}
}

// TestEndlessLists: pages that lead in a circle end.
func TestEndlessLists(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			w.Header().Set("Link", `<`+r.URL.Path+`?n=1000>; rel="next"`)
			fmt.Fprint(w, `{"tags":["b","a","b"],"manifests":[]}`)
		}
	})
	var tags []string
	for tag, err := range c.Tags(t.Context(), repo, "") {
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, tag)
	}
	if !slices.Equal(tags, []string{"a", "b"}) {
		t.Errorf("%q", tags)
	}
	for _, err := range c.Referrers(t.Context(), repo, digest.FromString("x"), "") {
		t.Errorf("a referrer, %v", err)
	}
}

// TestBrokenDownloads: a blob whose connection breaks is read on, a few times.
func TestBrokenDownloads(t *testing.T) {
	content := make([]byte, 1<<20)
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	var requests atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		requests.Add(1)
		offset := 0
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &offset); err == nil {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", offset, len(content)-1, len(content)))
			w.Header().Set("Content-Length", fmt.Sprint(len(content)-offset))
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		}
		part := content[offset:min(offset+300_000, len(content))]
		if _, err := w.Write(part); err != nil || offset+len(part) < len(content) {
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	if got := read(t, c, digest.FromBytes(content)); got != string(content) || requests.Load() != 4 {
		t.Errorf("%d bytes in %d requests", len(got), requests.Load())
	}
	broken := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			w.Header().Set("Content-Length", "100")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	if _, err := readAll(t, broken, digest.FromString("x")); err == nil {
		t.Error("read from a server that sends nothing")
	}
}

// TestRetries: what failed by chance is tried again, what was refused is not.
func TestRetries(t *testing.T) {
	inner := ociserver.New(newContent(t), ociserver.Options{})
	var n atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) % 14 {
		case 1, 11:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 4, 8:
			panic(http.ErrAbortHandler)
		default:
			inner.ServeHTTP(w, r)
		}
	})
	image := registrytest.PushImage(t, c, repo, strings.Repeat("content", 100_000), []string{"latest", "one"})
	if desc, err := c.Tag(t.Context(), repo, "one"); err != nil || desc.Digest != image.Digest {
		t.Errorf("%v, %v", desc, err)
	}
	if err := c.DeleteTag(t.Context(), repo, "one"); err != nil {
		t.Error(err)
	}
	for status, attempts := range map[int]int32{400: 1, 401: 1, 403: 1, 404: 1, 429: 4, 500: 4, 501: 1, 503: 4} {
		var n atomic.Int32
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/" {
				n.Add(1)
				w.WriteHeader(status)
			}
		})
		if _, _, err := c.Manifest(t.Context(), repo, image.Digest); err == nil || n.Load() != attempts {
			t.Errorf("status %d: %d attempts, want %d; %v", status, n.Load(), attempts, err)
		}
	}
}

// TestErrors: codes come through, whoever sent them, and cannot steer a terminal.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		code   registry.Code
	}{
		{404, `{"errors":[{"code":"NAME_UNKNOWN","message":"no such \u001b[31mname"}]}`, registry.CodeNameUnknown},
		{404, `{"errors":[{"code":"NOT_FOUND"}]}`, registry.CodeManifestUnknown},
		{404, `<html>`, registry.CodeManifestUnknown},
		{403, `{"errors":[{"code":"DENIED"}]}`, registry.CodeDenied},
		{403, ``, registry.CodeDenied},
		{401, `null`, registry.CodeUnauthorized},
		{409, `[]`, registry.CodeConflict},
		{500, `{"errors":[{"code":"CONTENT_CORRUPT"}]}`, registry.CodeCorrupt},
		{418, ``, ""},
	} {
		client := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/" {
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			}
		})
		_, _, err := client.Manifest(t.Context(), repo, digest.FromString("x"))
		if err == nil || registry.ErrorCode(err) != c.code || strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("%d %s: %v (%s), want %s", c.status, c.body, err, registry.ErrorCode(err), c.code)
		}
	}
}

// TestStalls: a server that does not go on is left.
func TestStalls(t *testing.T) {
	done := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "a little")
			http.NewResponseController(w).Flush()
			<-done
		}
	}))
	defer s.Close()
	defer close(done)
	c, err := ociclient.New(s.URL, ociclient.Options{RetryWait: time.Millisecond, IdleTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Manifest(t.Context(), repo, digest.FromString("x")); err == nil || !strings.Contains(err.Error(), "does not move") {
		t.Errorf("got %v", err)
	}
}
