package ociclient_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"kiln/registry/ociclient"
)

// TestEndpoint: on loopback TLS is used where it is spoken, be it to refuse us,
// and elsewhere always, without asking.
func TestEndpoint(t *testing.T) {
	var asked atomic.Int32
	count := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	plain, secure := httptest.NewServer(count), httptest.NewTLSServer(count)
	strict := httptest.NewUnstartedServer(count)
	strict.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, MaxVersion: tls.VersionTLS12}
	strict.StartTLS()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, s := range []*httptest.Server{plain, secure, strict} {
		t.Cleanup(s.Close)
	}
	at := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	for host, scheme := range map[string]string{
		at(plain): "http", at(secure): "https", at(strict): "https", closed.Addr().String(): "http",
		strings.Replace(at(secure), "127.0.0.1", "localhost", 1): "https",
		"registry.invalid": "https", "registry.invalid:5000": "https", "10.0.0.1:80": "https",
	} {
		if got := ociclient.Endpoint(t.Context(), host); got != scheme+"://"+host {
			t.Errorf("%s: %s, want %s", host, got, scheme)
		}
	}
	if asked.Load() > 0 {
		t.Error("a request was made")
	}
}
