package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// moving is an upload whose body is being sent.
type moving struct {
	in     *io.PipeWriter
	status chan int // 0 where it was cut
}

func (r *running) upload(content string) *moving {
	r.t.Helper()
	body, in := io.Pipe()
	m := &moving{in: in, status: make(chan int, 1)}
	req, err := http.NewRequest("POST", r.url+"/v2/acme/shop/blobs/uploads/?digest="+digest.FromString(content).String(), body)
	if err != nil {
		r.t.Fatal(err)
	}
	go func() {
		resp, err := (&http.Client{Transport: &http.Transport{}}).Do(req)
		if err != nil {
			m.status <- 0
			return
		}
		resp.Body.Close()
		m.status <- resp.StatusCode
	}()
	if _, err := io.WriteString(in, content[:1]); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, "the upload", func() bool { return r.watch.uploads.Load() > 0 })
	return m
}

func (r *running) wait() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		r.ended <- err
		return err
	case <-time.After(10 * time.Second):
		r.t.Fatal("the server does not end")
		return nil
	}
}

// TestShutdownFinishesUploads: after SIGTERM the server is not ready, then
// takes no connections, and an upload that moves arrives, even when the time of
// other requests is over.
func TestShutdownFinishesUploads(t *testing.T) {
	r := startServe(t, "shutdown {\n  drain = \"400ms\"\n  timeout = \"100ms\"\n}\n", nil)
	content := "a blob that comes slowly"
	m := r.upload(content)
	r.end()
	eventually(t, "503 of /readyz", func() bool {
		resp, _ := r.do("GET", readyPath)
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	if resp, _ := r.do("GET", "/v2/"); resp.StatusCode != http.StatusOK {
		t.Errorf("while it drains: %s", resp.Status)
	}
	eventually(t, "the end of the listener", func() bool {
		conn, err := net.Dial("tcp", r.address())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	time.Sleep(300 * time.Millisecond) // longer than timeout
	if _, err := io.WriteString(m.in, content[1:]); err != nil {
		t.Fatal(err)
	}
	m.in.Close()
	if status := <-m.status; status != http.StatusCreated {
		t.Errorf("the upload ends with %d", status)
	}
	if err := r.wait(); err != nil {
		t.Errorf("the server ends with %v", err)
	}
	a := &app{stdio: stdio{err: io.Discard}, getenv: func(string) string { return "" }}
	st, err := a.openStorage(t.Context(), r.cfg.store, false)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBackend(st, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.registry.StatBlob(t.Context(), "acme/shop", digest.FromString(content)); err != nil {
		t.Errorf("the blob that was acknowledged: %v", err)
	}
}

// TestShutdownHasAnEnd: an upload that does not end is cut when its time is
// over, or at a second signal.
func TestShutdownHasAnEnd(t *testing.T) {
	for name, second := range map[string]bool{"time": false, "signal": true} {
		t.Run(name, func(t *testing.T) {
			uploads := map[bool]string{false: "300ms", true: "1h"}[second]
			r := startServe(t, "shutdown {\n  timeout = \"0s\"\n  uploads = \""+uploads+"\"\n}\n", nil)
			m := r.upload("never whole")
			r.end()
			if second {
				time.Sleep(100 * time.Millisecond)
				r.again <- os.Interrupt
			}
			err := r.wait()
			if err == nil || !strings.Contains(err.Error(), "1 requests were cut") {
				t.Errorf("the server ends with %v", err)
			}
			if second && !strings.Contains(err.Error(), "second signal") {
				t.Errorf("the server ends with %v", err)
			}
			m.in.CloseWithError(io.ErrUnexpectedEOF)
			if status := <-m.status; status != 0 {
				t.Errorf("the upload ends with %d", status)
			}
			eventually(t, "a line that says it was cut", func() bool {
				log := r.lines.String()
				return strings.Contains(log, "status=499") && strings.Contains(log, "cut=true")
			})
		})
	}
}

func TestShutdownIdle(t *testing.T) {
	r := startServe(t, "shutdown {\n  uploads = \"1h\"\n  timeout = \"1h\"\n}\n", nil)
	r.do("GET", "/v2/") // leaves a connection that rests
	begin := time.Now()
	r.end()
	if err := r.wait(); err != nil {
		t.Errorf("the server ends with %v", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("an idle server takes %v to end", took)
	}
}
