package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// startUpload begins an upload and returns its path.
func (r *running) startUpload(repo string) string {
	r.t.Helper()
	resp, body := r.do("POST", "/v2/"+repo+"/blobs/uploads/")
	if resp.StatusCode != http.StatusAccepted {
		r.t.Fatalf("start of an upload: %s %s", resp.Status, body)
	}
	return resp.Header.Get("Location")
}

// TestBusy: FAULTS 22. What is too much at once is told to come again; probes
// are answered all the same.
func TestBusy(t *testing.T) {
	r := startServe(t, "limits {\n  concurrent_requests = 1\n}\n", nil)
	location := r.startUpload("acme/shop")
	body, in := io.Pipe()
	done := make(chan int, 1)
	go func() {
		resp, _ := r.send(http.DefaultClient, "PATCH", location, body)
		done <- resp.StatusCode
	}()
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the upload", func() bool { return r.watch.uploads.Load() == 1 })
	for _, path := range []string{"/v2/", "/api/v1/images", "/v2/acme/shop/tags/list"} {
		resp, text := r.do("GET", path)
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(text, "busy") {
			t.Errorf("%s: %s %q", path, resp.Status, text)
		}
		if api := strings.HasPrefix(path, "/api/"); api && !strings.Contains(text, `"kind":"internal"`) {
			t.Errorf("%s: a problem without its kind: %s", path, text)
		}
	}
	for _, path := range []string{healthPath, readyPath, metricsPath} {
		if resp, _ := r.do("GET", path); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	if busy := r.scrape()[`kiln_http_refusals_total{reason="busy"}`]; busy != "3" {
		t.Errorf("%s refusals, want 3", busy)
	}
	in.Close()
	if status := <-done; status != http.StatusAccepted {
		t.Errorf("the upload ends with %d", status)
	}
	if resp, _ := r.do("GET", "/v2/"); resp.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %s", resp.Status)
	}
}

// TestBlobSize: a blob that is too large is refused, whole or in chunks, and
// nothing of it stays.
func TestBlobSize(t *testing.T) {
	r := startServe(t, "limits {\n  body = \"1000B\"\n}\n", nil)
	push := func(n int) (int, string) {
		content := strings.Repeat("x", n)
		resp, body := r.send(http.DefaultClient, "POST", "/v2/acme/shop/blobs/uploads/?digest="+digest.FromString(content).String(), strings.NewReader(content))
		return resp.StatusCode, body
	}
	if status, body := push(1000); status != http.StatusCreated {
		t.Errorf("1000 bytes: %d %s", status, body)
	}
	if status, body := push(1001); status != http.StatusBadRequest || !strings.Contains(body, "SIZE_INVALID") {
		t.Errorf("1001 bytes: %d %s", status, body)
	}
	unsized := io.MultiReader(strings.NewReader(strings.Repeat("y", 1001))) // no Content-Length
	resp, body := r.send(http.DefaultClient, "POST", "/v2/acme/shop/blobs/uploads/?digest="+digest.FromString(strings.Repeat("y", 1001)).String(), unsized)
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "SIZE_INVALID") {
		t.Errorf("1001 bytes without a length: %s %s", resp.Status, body)
	}
	location := r.startUpload("acme/shop")
	resp, _ = r.send(http.DefaultClient, "PATCH", location, strings.NewReader(strings.Repeat("z", 600)))
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("first chunk: %s", resp.Status)
	}
	resp, body = r.send(http.DefaultClient, "PATCH", resp.Header.Get("Location"), strings.NewReader(strings.Repeat("z", 600)))
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "SIZE_INVALID") {
		t.Errorf("second chunk: %s %s", resp.Status, body)
	}
	for _, n := range []string{strings.Repeat("x", 1001), strings.Repeat("y", 1001)} {
		if resp, _ := r.do("HEAD", "/v2/acme/shop/blobs/"+digest.FromString(n).String()); resp.StatusCode != http.StatusNotFound {
			t.Errorf("a refused blob is there: %s", resp.Status)
		}
	}
}

// TestHeaderSize: FAULTS 17.
func TestHeaderSize(t *testing.T) {
	r := startServe(t, "limits {\n  header = \"8KiB\"\n}\n", nil)
	for name, ask := range map[string]func() int{
		"header": func() int {
			resp, _ := r.do("GET", "/v2/", "X-Long", strings.Repeat("x", 20<<10))
			return resp.StatusCode
		},
		"query": func() int { resp, _ := r.do("GET", "/v2/?x="+strings.Repeat("x", 20<<10)); return resp.StatusCode },
		"token": func() int {
			resp, _ := r.do("GET", "/v2/", "Authorization", "Bearer "+strings.Repeat("x", 9<<10))
			return resp.StatusCode
		},
	} {
		if status := ask(); status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: %d", name, status)
		}
	}
}

// raw opens a connection and sends text on it.
func (r *running) raw(text string) net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.address())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write([]byte(text)); err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// TestIdleConnections: FAULTS 22. Connections that rest make room for those
// that want something.
func TestIdleConnections(t *testing.T) {
	r := startServe(t, "limits {\n  connections = 8\n}\n", nil)
	for range 100 {
		conn := r.raw("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%v %v", resp, err)
		}
	}
	fresh := &http.Client{Transport: &http.Transport{}}
	defer fresh.CloseIdleConnections()
	if resp, _ := r.send(fresh, "GET", "/v2/", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("%s", resp.Status)
	}
	if _, body := r.send(fresh, "GET", metricsPath, nil); !strings.Contains(body, "\nkiln_http_connections ") {
		t.Error("connections are not counted")
	} else if n := series(body, "kiln_http_connections"); n > 8 {
		t.Errorf("%d connections, at most 8", n)
	}
}

func series(body, name string) (n int) {
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			fmt.Sscan(value, &n)
		}
	}
	return n
}

// TestSlowClients: FAULTS 22. Neither a header nor a body that does not come
// holds a connection for long.
func TestSlowClients(t *testing.T) {
	r := startServe(t, "limits {\n  header_timeout = \"1s\"\n  idle = \"1s\"\n}\n", nil)
	location := r.startUpload("acme/shop")
	for name, text := range map[string]string{
		"nothing":     "",
		"half header": "GET /v2/ HTTP/1.1\r\nHost: localhost\r\nX-",
		"chunk":       "PATCH " + location + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx",
		"manifest":    "PUT /v2/acme/shop/manifests/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\nContent-Length: 100\r\n\r\n{",
		"nobody asks": "POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := r.raw(text)
			conn.SetReadDeadline(time.Now().Add(15 * time.Second))
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("the connection is still open: %v", err)
			}
		})
	}
}

// TestOpenUploads: FAULTS 22.
func TestOpenUploads(t *testing.T) {
	r := startServe(t, "limits {\n  open_uploads = 3\n}\n", nil)
	for range 3 {
		r.startUpload("acme/shop")
	}
	if resp, _ := r.do("POST", "/v2/acme/shop/blobs/uploads/"); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%s", resp.Status)
	}
}

// TestRequestTimeout: what moves no blobs has its time.
func TestRequestTimeout(t *testing.T) {
	seen := map[string]bool{}
	h := limited(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, seen[requestOf(r.Context()).kind] = r.Context().Deadline()
	}), defaultServeConfig().limits)
	o := &observer{log: newLog(io.Discard, logConfig{}), metrics: newServeMetrics(), idle: time.Minute}
	for _, path := range []string{"/v2/acme/shop/blobs/" + digest.FromString("").String(), "/v2/acme/shop/tags/list", "/api/v1/images", "/api/v1/collections"} {
		o.handler(h).ServeHTTP(newRecorder(), newRequest("GET", path))
	}
	for kind, want := range map[string]bool{"blob_get": false, "tag_list": true, "api_images": true, "api_collections": false} {
		if got, ok := seen[kind]; !ok || got != want {
			t.Errorf("%s: deadline %v, want %v (asked: %v)", kind, got, want, ok)
		}
	}
}
