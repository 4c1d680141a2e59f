package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// TestTracing: a configured collector gets a span of each request, with the
// operations on the store below it, linked to the client's trace by its own;
// and no secret.
func TestTracing(t *testing.T) {
	var mu sync.Mutex
	var got bytes.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(r.Body)
		}
		io.Copy(&got, body)
	}))
	defer collector.Close()
	r := startServe(t, "tracing {\n  endpoint = \""+collector.URL+"\"\n}\nlog {\n  format = \"json\"\n}\n", nil)
	r.do("GET", "/v2/acme/shop/manifests/latest?token=hunter2", "Authorization", "Bearer hunter2",
		"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	eventually(t, "a line", func() bool { return len(r.logged("request")) == 1 })
	trace, _ := r.logged("request")[0]["trace_id"].(string)
	if len(trace) != 32 || trace == "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("trace %q: a stranger names our traces, or there is none", trace)
	}
	r.end()
	if err := r.wait(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"manifest_get", "store.load", "acme/shop", "kiln.request_id"} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("no %q among what the collector got", want)
		}
	}
	if strings.Contains(got.String(), "hunter2") {
		t.Error("a secret is in a trace")
	}
}

// TestNoTracing: without a configuration nothing is wrapped.
func TestNoTracing(t *testing.T) {
	p, err := newTracing(t.Context(), tracingConfig{})
	if p != nil || err != nil {
		t.Fatalf("%v %v", p, err)
	}
	r := startServe(t, "log {\n  format = \"json\"\n}\n", nil)
	r.do("GET", "/v2/")
	eventually(t, "a line", func() bool { return len(r.logged("request")) == 1 })
	if _, ok := r.logged("request")[0]["trace_id"]; ok {
		t.Error("a trace without a collector")
	}
}
