package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"kiln/registry/ociserver"
	"kiln/registry/promotionhttp"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

func newRequest(method, target string) *http.Request { return httptest.NewRequest(method, target, nil) }

// logged are the JSON lines with a message.
func (r *running) logged(message string) []map[string]any {
	r.t.Helper()
	var list []map[string]any
	for line := range strings.Lines(r.lines.String()) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			r.t.Fatalf("%v in %s", err, line)
		}
		if m["msg"] == message {
			list = append(list, m)
		}
	}
	return list
}

// TestAccessLog: one line for each request with the keys that are promised,
// and no secret in any of them (FAULTS 21).
func TestAccessLog(t *testing.T) {
	r := startServe(t, "log {\n  format = \"json\"\n}\n", nil)
	d := digest.FromString("x").String()
	resp, _ := r.do("GET", "/v2/acme/shop/manifests/latest?token=hunter2", "Authorization", "Bearer hunter2", "Cookie", "hunter2", requestIDHeader, "mine")
	r.do("HEAD", "/v2/acme/shop/blobs/"+d)
	r.do("GET", "/v2/acme/shop/manifests/"+d+"?token=hunter2")
	r.do("GET", "/api/v1/resolve?image=acme/shop&channel=dev&token=hunter2")
	r.do("POST", "/v2/acme/shop/blobs/uploads/?digest="+d+"&password=hunter2")
	r.do("GET", healthPath)
	eventually(t, "five lines", func() bool { return len(r.logged("request")) == 5 })
	lines := r.logged("request")
	first := lines[0]
	for key, want := range map[string]any{
		"level": "INFO", "method": "GET", "kind": "manifest_get", "repo": "acme/shop", "tag": "latest", "status": 404.0,
		"received": 0.0, "remote": "127.0.0.1", "request_id": resp.Header.Get(requestIDHeader),
	} {
		if first[key] != want {
			t.Errorf("%s is %v, want %v", key, first[key], want)
		}
	}
	if first["request_id"] == "mine" || first["bytes"].(float64) == 0 || first["duration_ms"].(float64) <= 0 {
		t.Errorf("%v", first)
	}
	if lines[1]["digest"] != d || lines[3]["kind"] != "api_resolve" {
		t.Errorf("%v\n%v", lines[1], lines[3])
	}
	if strings.Contains(r.lines.String(), "hunter2") {
		t.Errorf("a secret is in the log:\n%s", r.lines)
	}
	audits := r.logged("audit")
	if len(audits) != 1 || audits[0]["outcome"] != "failed" || audits[0]["repo"] != "acme/shop" || audits[0]["request_id"] != lines[4]["request_id"] {
		t.Errorf("audit %v", audits)
	}
}

// TestAuditLevel: writes are told at any level.
func TestAuditLevel(t *testing.T) {
	r := startServe(t, "log {\n  format = \"json\"\n  level = \"error\"\n}\n", nil)
	r.send(http.DefaultClient, "POST", "/v2/acme/shop/blobs/uploads/?digest="+digest.FromString("x").String(), strings.NewReader("x"))
	if len(r.logged("audit")) != 1 || len(r.logged("request")) != 0 {
		t.Errorf("%s", r.lines)
	}
}

// TestIdentify: ids and addresses of others are taken from trusted proxies
// only.
func TestIdentify(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		peer, forwarded, id string
		remote              string
		keeps               bool // the id
	}{
		{"192.0.2.1:99", "198.51.100.7", "abc", "192.0.2.1", false},
		{"10.0.0.1:99", "198.51.100.7", "abc", "198.51.100.7", true},
		{"10.0.0.1:99", "203.0.113.9, 198.51.100.7", "abc", "198.51.100.7", true}, // what the client claims stands in front
		{"10.0.0.1:99", "198.51.100.7, 10.2.3.4", "abc", "198.51.100.7", true},
		{"10.0.0.1:99", "rubbish", "abc", "10.0.0.1", true},
		{"10.0.0.1:99", "", "a\nb", "10.0.0.1", false},
		{"[fd00::1]:99", "198.51.100.7", strings.Repeat("x", 65), "198.51.100.7", false},
		{"[::ffff:10.0.0.1]:99", "198.51.100.7", "abc", "198.51.100.7", true},
	} {
		r := httptest.NewRequest("GET", "/v2/", nil)
		r.RemoteAddr = c.peer
		r.Header["X-Request-Id"] = []string{c.id}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		q := requestAbout(r)
		q.identify(r, proxies)
		if q.remote != c.remote || (q.id == c.id) != c.keeps || q.id == "" {
			t.Errorf("%+v: remote %s, id %s", c, q.remote, q.id)
		}
	}
}

// TestKinds: every kind of request of /v2/ and every path of the API has a
// name, so that none hides among the others.
func TestKinds(t *testing.T) {
	for k := ociserver.Ping; k <= ociserver.Catalog; k++ {
		if ociKinds[k] == "" {
			t.Errorf("kind %d of ociserver has no name", k)
		}
	}
	r := startServe(t, "auth {\n}\n", nil)
	resp, body := r.do("GET", promotionhttp.OpenAPIPath)
	var doc struct{ Paths map[string]any }
	if err := json.Unmarshal([]byte(body), &doc); err != nil || len(doc.Paths) < 9 {
		t.Fatalf("%s %v %d paths", resp.Status, err, len(doc.Paths))
	}
	for path := range doc.Paths {
		if q := requestAbout(newRequest("GET", path)); !strings.HasPrefix(q.kind, "api_") || q.kind == "api_other" {
			t.Errorf("%s counts as %s: add it to apiKinds", path, q.kind)
		}
	}
	for target, want := range map[string]string{
		"/": "other", "/v2": "ping", "/v2/": "ping", "/v2/token?x=1": "token", "/v2/a/b/c": "invalid", "/metrics": "metrics", "/api/v1/x": "api_other",
	} {
		if q := requestAbout(newRequest("GET", target)); q.kind != want {
			t.Errorf("%s is %s, want %s", target, q.kind, want)
		}
	}
	if q := requestAbout(newRequest("BREW", "/v2/")); q.method != "other" {
		t.Errorf("method %s", q.method)
	}
}

// TestPanic: a bug is an answer with an id, or a cut answer, and a line with a
// stack.
func TestPanic(t *testing.T) {
	out := &lines{}
	m := newServeMetrics()
	o := &observer{log: newLog(out, logConfig{}), metrics: m, idle: time.Minute}
	s := httptest.NewServer(o.handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/begun" {
			fmt.Fprint(w, "half")
			http.NewResponseController(w).Flush()
		}
		panic("a bug with hunter2")
	})))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	defer s.Close()
	resp, err := http.Get(s.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 500 || strings.Contains(string(body), "hunter2") || !strings.Contains(string(body), resp.Header.Get(requestIDHeader)) {
		t.Errorf("%s %s", resp.Status, body)
	}
	if resp, err = http.Get(s.URL + "/begun"); err == nil {
		if _, err = io.ReadAll(resp.Body); err == nil {
			t.Error("half an answer looks whole")
		}
	}
	if !strings.Contains(out.String(), "serve_observe_test.go") {
		t.Errorf("no stack in the log:\n%s", out)
	}
	if o.requests.Load() != 0 {
		t.Errorf("%d requests are still counted", o.requests.Load())
	}
}

// TestSeries: FAULTS 1's kin. Whatever clients ask, the series of metrics are
// the same.
func TestSeries(t *testing.T) {
	r := startServe(t, "", nil)
	ask := func(n int) {
		for _, method := range []string{"GET", "BREW" + fmt.Sprint(n)} {
			r.do(method, fmt.Sprintf("/v2/acme/shop%d/manifests/tag%d", n, n))
			r.do(method, fmt.Sprintf("/api/v1/path%d", n))
			r.do(method, fmt.Sprintf("/path%d", n))
		}
		r.send(http.DefaultClient, "POST", "/api/v1/promotions", strings.NewReader(fmt.Sprintf(`{"image":"acme/i%d","digest":%q,"channel":"c%d"}`, n, digest.FromString(fmt.Sprint(n)), n)), "Content-Type", "application/json")
	}
	names := func() []string {
		var list []string
		for name := range r.scrape() {
			list = append(list, name)
		}
		slices.Sort(list)
		return list
	}
	ask(0)
	names() // counts itself from the second time on
	before := names()
	for n := range 20 {
		ask(n + 1)
	}
	after := names()
	if !slices.Equal(before, after) {
		t.Errorf("%d series became %d", len(before), len(after))
	}
	if !slices.Contains(after, `kiln_promotions_total{action="promote",channel="other",result="not_found"}`) {
		t.Errorf("promotions are not counted: %v", slices.DeleteFunc(after, func(s string) bool { return !strings.HasPrefix(s, "kiln_promo") }))
	}
}
