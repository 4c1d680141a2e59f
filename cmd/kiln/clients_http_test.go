//go:build full

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// testCurl asks what a person would.
func (s *served) testCurl() {
	shop := s.image("acme/shop")
	curl := func(args ...string) string {
		s.t.Helper()
		return s.ask("curl", append([]string{"-sS", "--fail-with-body"}, args...)...)
	}
	if got := curl(s.url + "/v2/"); got != "{}" {
		s.t.Errorf("/v2/ answers %q", got)
	}
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json"} {
		curl(s.url + path)
	}
	question := s.url + "/api/v1/resolve?image=acme/shop&channel=dev"
	var answer struct {
		Digest, Reference string
		Evidence          []json.RawMessage
		Statement         json.RawMessage
	}
	if err := json.Unmarshal([]byte(curl(question)), &answer); err != nil || answer.Digest != string(shop.Digest) ||
		len(answer.Evidence) == 0 || len(answer.Statement) == 0 {
		s.t.Errorf("resolve answers %+v (%v)", answer, err)
	}
	etag := ""
	for line := range strings.Lines(curl("-D", "-", "-o", "/dev/null", question)) {
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "ETag") {
			etag = strings.TrimSpace(value)
		}
	}
	if got := curl("-o", "/dev/null", "-w", "%{http_code}", "-H", "If-None-Match: "+etag, question); etag == "" || got != "304" {
		s.t.Errorf("with the ETag %q: %s, want 304", etag, got)
	}
	for _, list := range []string{"images?", "versions?image=acme/shop&", "history?image=acme/shop&", "promotions?image=acme/shop&"} {
		if out := curl(s.url + "/api/v1/" + list + "limit=1"); !strings.Contains(out, "acme/") {
			s.t.Errorf("%s: %s", list, out)
		}
	}
	if got := curl("-o", s.path("blob"), "-w", "%{http_code}", "-r", "0-99", s.url+"/v2/acme/shop/blobs/"+string(shop.Layers[0].Digest)); got != "206" {
		s.t.Errorf("a range of a blob: %s, want 206", got)
	}
}

// testGuard sends what only a proxy or a page of another machine sends.
func (s *served) testGuard() {
	for _, path := range []string{"/v2/", "/api/v1/images", "/healthz"} {
		for _, header := range []string{"X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "Host: shop.example.com", "Origin: https://example.com"} {
			if got := s.ask("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", header, s.url+path); got != "403" {
				s.t.Errorf("%s with %s: %s, want 403", path, header, got)
			}
		}
	}
	for _, listen := range []string{"0.0.0.0:0", "[::]:0", ":0"} {
		out := s.exits(exitError, "serve", "--listen", listen, "--store", s.path("other"))
		if !strings.Contains(out, "kiln: hint: ") {
			s.t.Errorf("--listen %s gives no hint: %s", listen, out)
		}
	}
}

// testStop sends SIGTERM in the middle of an upload: it is stored, nothing new
// is accepted, and the server ends well.
func (s *served) testStop() {
	content := bytes.Repeat([]byte("0123456789"), 100_000)
	sum := sha256.Sum256(content)
	body, send := io.Pipe()
	answered := make(chan error, 1)
	var status int
	go func() {
		resp, err := http.Post(s.url+"/v2/acme/last/blobs/uploads/?digest=sha256:"+hex.EncodeToString(sum[:]), "application/octet-stream", body)
		if err == nil {
			status = resp.StatusCode
			err = resp.Body.Close()
		}
		answered <- err
	}()
	if _, err := send.Write(content[:len(content)/2]); err != nil {
		s.t.Fatal(err)
	}
	if err := s.server.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	s.untilClosed()
	if _, err := send.Write(content[len(content)/2:]); err != nil {
		s.t.Fatal(err)
	}
	if err := send.Close(); err != nil {
		s.t.Fatal(err)
	}
	if err := <-answered; err != nil || status != http.StatusCreated {
		s.t.Errorf("the upload ends with %d, %v", status, err)
	}
	select {
	case err := <-s.ended:
		if err != nil {
			s.t.Errorf("after SIGTERM: %v", err)
		}
	case <-time.After(30 * time.Second):
		s.t.Error("the server goes on after SIGTERM")
	}
}

// untilClosed waits until the server accepts nothing new.
func (s *served) untilClosed() {
	s.t.Helper()
	for range 100 {
		conn, err := net.Dial("tcp", s.host)
		if err != nil {
			return
		}
		conn.Close()
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatal("the server accepts connections after SIGTERM")
}
