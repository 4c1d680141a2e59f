package ociserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"kiln/registry/ociserver"
)

// beginManifest sends the header of a push of a large manifest, and size bytes.
func (w *world) beginManifest(size int) net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.host())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "PUT %s/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n", base)
	if _, err := io.WriteString(conn, strings.Repeat("x", size)); err != nil {
		w.t.Fatal(err)
	}
	return conn
}

func (w *world) status(conn net.Conn) int {
	w.t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode
}

// FAULTS 4, 22: who may not push fills no memory with a manifest.
func TestManifestOfStrangers(t *testing.T) {
	asked := ""
	w := newWorld(t, ociserver.Options{MayPush: func(_ context.Context, name string) bool { asked = name; return false }})
	if status := w.status(w.beginManifest(1)); status != 400 || asked != repo {
		t.Errorf("%d, asked about %q", status, asked)
	}
}

// FAULTS 22: a manifest that trickles in has the idle timeout as a whole.
func TestSlowManifest(t *testing.T) {
	w := newWorld(t, ociserver.Options{IdleTimeout: 200 * time.Millisecond})
	conn := w.beginManifest(1)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				_, _ = io.WriteString(conn, "x")
			}
		}
	}()
	if status := w.status(conn); status != 400 {
		t.Errorf("%d", status)
	}
}

// FAULTS 4: large manifests that come in at once are few; small ones go on.
func TestLargeManifests(t *testing.T) {
	w := newWorld(t, ociserver.Options{})
	for range 16 {
		w.beginManifest(300_000)
	}
	deadline := time.Now().Add(10 * time.Second)
	for status := 0; status != 429; {
		conn := w.beginManifest(300_000)
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			status = resp.StatusCode
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("the server reads any number of them")
		}
	}
	w.image("small", "latest")
	w.want(w.do("PUT", base+"/manifests/x", strings.NewReader("{}")), 400, "MANIFEST_INVALID")
}
