//go:build full

package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"kiln/registry/store/s3store/s3test"
)

// TestSigterm: the process, not only its parts, finishes an upload that it was
// sent before SIGTERM, and a second one ends it at once.
func TestSigterm(t *testing.T) {
	s := &served{world: newWorld(t)}
	s.keys("promote")
	for name, second := range map[string]bool{"one": false, "two": true} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			s.start()
			content := "a blob that comes slowly"
			body, in := io.Pipe()
			status := make(chan int, 1)
			req, err := http.NewRequest("POST", s.url+"/v2/acme/shop/blobs/uploads/?digest="+digest.FromString(content).String(), body)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				resp, err := (&http.Client{Transport: &http.Transport{}}).Do(req)
				if err != nil {
					status <- 0
					return
				}
				resp.Body.Close()
				status <- resp.StatusCode
			}()
			io.WriteString(in, content[:5])
			eventually(t, "the upload", func() bool {
				resp, err := http.Get(s.url + metricsPath)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				text, _ := io.ReadAll(resp.Body)
				return strings.Contains(string(text), "kiln_uploads_in_flight 1")
			})
			http.DefaultClient.CloseIdleConnections()
			s.server.Process.Signal(syscall.SIGTERM)
			time.Sleep(200 * time.Millisecond)
			if second {
				s.server.Process.Signal(syscall.SIGTERM)
				<-s.done
				in.CloseWithError(io.ErrUnexpectedEOF)
				if got := <-status; got != 0 {
					t.Errorf("the upload ends with %d", got)
				}
				if code := s.server.ProcessState.ExitCode(); code != exitError {
					t.Errorf("exit code %d, want %d: requests were cut", code, exitError)
				}
				return
			}
			io.WriteString(in, content[5:])
			in.Close()
			if got := <-status; got != http.StatusCreated {
				t.Errorf("the upload ends with %d", got)
			}
			<-s.done
			if code := s.server.ProcessState.ExitCode(); code != exitDone {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestServeReadOnly: FAULTS 39. A store that takes no writes is served for
// reading; writes are refused with a word that says why.
func TestServeReadOnly(t *testing.T) {
	p := newPlace(t)
	p.kiln(exitDone, "--store", p.path("store"), "bake", p.path("app"), "--promote", "dev", "--promotion-key", p.path("promote.key"))
	target := filepath.Join(t.TempDir(), "ro")
	if err := os.Mkdir(target, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(p.path("store"), target, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("bind mount: %v (this test runs as root)", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	out := &lines{}
	a := &app{stdio: stdio{out: io.Discard, err: out}, store: target, getenv: func(string) string { return "" }}
	cfg, err := a.serveConfig(serveFlags{listen: "127.0.0.1:0", promotionKey: p.path("promote.key"), store: true})
	if err != nil {
		t.Fatal(err)
	}
	ro := &running{t: t, lines: out, ended: make(chan error, 1)}
	if ro.server, err = a.newServer(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	ro.run()
	for path, want := range map[string]int{
		readyPath: 200, "/v2/acme/files/manifests/dev": 200, "/api/v1/resolve?image=acme/files&channel=dev": 200,
	} {
		if resp, body := ro.do("GET", path, "Accept", "*/*"); resp.StatusCode != want {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
	d := digest.FromString("new").String()
	resp, body := ro.send(http.DefaultClient, "POST", "/v2/acme/files/blobs/uploads/?digest="+d, strings.NewReader("new"))
	if resp.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(body, "UNSUPPORTED") || !strings.Contains(body, "takes no writes") {
		t.Errorf("push: %s %s", resp.Status, body)
	}
	if ro.scrape()["kiln_store_read_only"] != "1" {
		t.Error("the metric does not say it")
	}
	u := &upkeep{backend: ro.backend, cfg: ro.cfg, log: ro.log, metrics: ro.metrics}
	for _, task := range u.tasks() {
		if err := task.run(t.Context()); err != nil {
			t.Errorf("%s: %v", task.name, err)
		}
	}
}

// TestSlowRequest: FAULTS 22. A body of /api/v1 that does not come: it has ten
// seconds, and the rest of it is not waited for.
func TestSlowRequest(t *testing.T) {
	r := startServe(t, "limits {\n  idle = \"1s\"\n}\n", nil)
	conn := r.raw("POST /api/v1/promotions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the connection is still open: %v", err)
	}
}

// TestRedirects: with blobs.redirect readers of a blob are sent to the bucket,
// which gives them the bytes without asking; without it they are not. What a
// caller may not pull is not redirected either.
func TestRedirects(t *testing.T) {
	server := s3test.Start(t)
	for _, pair := range server.Env() {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	location := server.Location(server.Bucket())
	content := strings.Repeat("redirected ", 1000)
	path := "/v2/acme/shop/blobs/" + digest.FromString(content).String()
	still := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

	r := startServe(t, "store = \""+location+"\"\n", nil)
	r.send(http.DefaultClient, "POST", "/v2/acme/shop/blobs/uploads/?digest="+digest.FromString(content).String(), strings.NewReader(content))
	if resp, body := r.send(still, "GET", path, nil); resp.StatusCode != http.StatusOK || body != content {
		t.Errorf("without redirect: %s", resp.Status)
	}
	r = startServe(t, "store = \""+location+"\"\nblobs {\n  redirect = true\n}\n", nil)
	resp, _ := r.send(still, "GET", path, nil)
	if to := resp.Header.Get("Location"); resp.StatusCode != http.StatusTemporaryRedirect || !strings.HasPrefix(to, server.URL) {
		t.Fatalf("%s to %q", resp.Status, to)
	}
	if resp, body := r.send(http.DefaultClient, "GET", path, nil); resp.StatusCode != http.StatusOK || body != content {
		t.Errorf("behind the redirect: %s, %d bytes", resp.Status, len(body))
	}
	if resp, _ := r.send(still, "GET", strings.Replace(path, "acme/shop", "acme/other", 1), nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("an image that does not have the blob: %s", resp.Status)
	}
	if strings.Contains(r.lines.String(), "Signature") {
		t.Errorf("an address that opens the bucket is in the log:\n%s", r.lines)
	}
}
