package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// lines is a log that several goroutines write.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// running is a kiln serve in this process.
type running struct {
	*server
	t     *testing.T
	dir   string
	url   string
	lines *lines
	end   context.CancelFunc // as SIGTERM does
	ended chan error         // how it ended, once
}

// startServe serves as a configuration file says, a store of its own if it
// names none; files lie beside it.
func startServe(t *testing.T, config string, files map[string]string) *running {
	t.Helper()
	r := &running{t: t, dir: t.TempDir(), lines: &lines{}, ended: make(chan error, 1)}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(r.dir, "serve.hcl")
	if !strings.Contains(config, "store = ") {
		config += "\nstore = \"store\"\n"
	}
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{stdio: stdio{out: io.Discard, err: r.lines}, getenv: func(string) string { return "" }}
	cfg, err := a.serveConfig(serveFlags{config: file, listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if r.server, err = a.newServer(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	r.run()
	return r
}

// run starts it and waits for its address.
func (r *running) run() {
	r.t.Helper()
	ctx, end := context.WithCancel(context.Background())
	r.end = end
	out, in := io.Pipe()
	go func() {
		err := r.server.run(ctx, in)
		in.CloseWithError(io.EOF)
		r.server.close()
		r.ended <- err
	}()
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		r.t.Fatalf("serve ended: %v\n%s", <-r.ended, r.lines)
	}
	r.url = strings.TrimSpace(string(line[:n]))
	r.t.Cleanup(func() {
		end()
		select {
		case err := <-r.ended:
			r.ended <- err
		case <-time.After(10 * time.Second):
			r.t.Error("the server does not end")
		}
		if r.t.Failed() {
			r.t.Logf("the server's log:\n%s", r.lines)
		}
	})
}

// address is host:port.
func (r *running) address() string {
	_, address, _ := strings.Cut(r.url, "://")
	return address
}

// do sends a request that needs no body.
func (r *running) do(method, path string, header ...string) (*http.Response, string) {
	r.t.Helper()
	return r.send(http.DefaultClient, method, path, nil, header...)
}

func (r *running) send(c *http.Client, method, path string, body io.Reader, header ...string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp, string(content)
}

// eventually waits for something that another goroutine does.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 500 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s does not happen", what)
}

// scrape reads /metrics as name{labels} -> value.
func (r *running) scrape() map[string]string {
	r.t.Helper()
	resp, body := r.do("GET", metricsPath)
	if resp.StatusCode != http.StatusOK {
		r.t.Fatalf("scrape: %s\n%s", resp.Status, body)
	}
	series := map[string]string{}
	for line := range strings.Lines(body) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok {
			series[name+"}"] = value
		} else if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			series[name] = value
		}
	}
	return series
}
