package promotionhttp

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/registry/promotion"
)

func newRecorder(h http.Handler, method, target string, body io.Reader) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, body)
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

func TestNewRefusesHalfAConfig(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("made a server of nothing")
	}
	for _, host := range []string{"kiln", "a b.example.com", "example.com/x", "example.com@", "http://example.com"} {
		if _, err := New(Config{Operations: failing{}, Host: host}); err == nil {
			t.Errorf("made a server with the host %q", host)
		}
	}
}

func TestOpenAPI(t *testing.T) {
	w := newWorld(t)
	resp, body := request(t, "GET", w.server.URL+OpenAPIPath, "")
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s", resp.StatusCode, resp.Header)
	}
	var doc struct {
		OpenAPI string `json:"openapi"`
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Summary     string
			Parameters  []struct {
				Name, In string
				Required bool
				Schema   map[string]any
			}
			RequestBody *struct{ Content map[string]any } `json:"requestBody"`
			Responses   map[string]struct{ Description string }
		}
		Components struct{ Schemas map[string]map[string]any }
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Title == "" || doc.Info.Version == "" {
		t.Errorf("openapi %q, info %+v", doc.OpenAPI, doc.Info)
	}
	want := map[string]string{
		"images": "get", "versions": "get", "ancestry": "get", "channels": "get", "resolve": "get", "history": "get",
		"promotions": "get post", "checks": "get", "decisions": "get", "rollbacks": "post", "revocations": "get post", "restorations": "post", "approvals": "get post", "renewals": "post", "trust": "delete get post", "trust/root": "post",
		"leases": "delete get post", "deletions": "post", "collections": "post",
	}
	if len(doc.Paths) != len(want) {
		t.Errorf("%d paths, want %d", len(doc.Paths), len(want))
	}
	ids := map[string]bool{}
	for path, methods := range want {
		var have []string
		for method, op := range doc.Paths[BasePath+path] {
			have = append(have, method)
			if ids[op.OperationID] || op.OperationID == "" || op.Summary == "" {
				t.Errorf("%s %s has the id %q, which is empty or used", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
			done := "200"
			if method+path == "deleteleases" {
				done = "204"
			}
			for _, code := range []string{done, "400", "401", "403", "404", "409", "413", "414", "422", "429", "500", "503"} {
				if op.Responses[code].Description == "" {
					t.Errorf("%s %s does not describe %s", method, path, code)
				}
			}
			if (method == "post") != (op.Responses["415"].Description != "") {
				t.Errorf("%s %s: 415 is %q", method, path, op.Responses["415"].Description)
			}
			if (method == "post") != (op.RequestBody != nil) {
				t.Errorf("%s %s: body %+v", method, path, op.RequestBody)
			}
		}
		slices.Sort(have)
		if strings.Join(have, " ") != methods {
			t.Errorf("%s has %v, want %s", path, have, methods)
		}
	}
	for _, ref := range regexp.MustCompile(`"\$ref":"([^"]*)"`).FindAllStringSubmatch(body, -1) {
		if doc.Components.Schemas[strings.TrimPrefix(ref[1], "#/components/schemas/")] == nil {
			t.Errorf("%s leads nowhere", ref[1])
		}
	}
	for name, schema := range doc.Components.Schemas {
		// What a request is made of is as strict as the request.
		strict := strings.HasSuffix(name, "Request") || name == "Grant" || name == "RetentionRule" || name == "Identity"
		if closed := schema["additionalProperties"] == false; closed != strict {
			t.Errorf("schema %s is closed: %v", name, closed)
		}
	}
	if strings.Contains(body, "ErrorModel") || !strings.Contains(body, `"#/components/schemas/Problem"`) {
		t.Error("errors are described as what they are not")
	}
}

func TestResolveETag(t *testing.T) {
	w := newWorld(t)
	a, b := w.baked(shop, "a"), w.baked(shop, "b")
	promote(t, w.service, a, "dev")
	url := w.server.URL + "/api/v1/resolve?image=acme/shop&channel=dev"
	first, body := request(t, "GET", url, "")
	tag := first.Header.Get("ETag")
	if first.StatusCode != 200 || !regexp.MustCompile(`^"[0-9a-f]{64}"$`).MatchString(tag) || first.Header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("%d %v", first.StatusCode, first.Header)
	}
	var r map[string]any
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("schema image channel digest reference tags sequence promoted_at promoted_by revoked platforms evidence statement") {
		if _, ok := r[name]; !ok {
			t.Errorf("the answer lacks %s", name)
		}
	}
	if want := strings.TrimPrefix(w.server.URL, "http://") + "/acme/shop@" + string(a); r["reference"] != want {
		t.Errorf("reference %s, want %s", r["reference"], want)
	}
	for header, status := range map[string]int{
		tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, strings.Trim(tag, `"`): 200, "": 200,
	} {
		resp, body := request(t, "GET", url, "", "If-None-Match", header)
		if resp.StatusCode != status || resp.Header.Get("ETag") != tag || (body == "") != (status == 304) {
			t.Errorf("If-None-Match %s: %d with %d bytes, ETag %s", header, resp.StatusCode, len(body), resp.Header.Get("ETag"))
		}
	}
	promote(t, w.service, b, "dev")
	if resp, _ := request(t, "GET", url, "", "If-None-Match", tag); resp.StatusCode != 200 || resp.Header.Get("ETag") == tag {
		t.Errorf("after a promotion: %d %s", resp.StatusCode, resp.Header.Get("ETag"))
	}
	if resp, _ := request(t, "HEAD", url, ""); resp.StatusCode != 200 || resp.Header.Get("ETag") == "" {
		t.Errorf("HEAD: %d %v", resp.StatusCode, resp.Header)
	}
	// A revived statement is another answer, so that nobody keeps an expired one.
	w.now = w.now.Add(promotion.EmbeddedLifetime * 2 / 3)
	before, _ := request(t, "GET", url, "")
	w.now = w.now.Add(promotion.EmbeddedLifetime * 2 / 3)
	if after, _ := request(t, "GET", url, "", "If-None-Match", before.Header.Get("ETag")); after.StatusCode != 200 {
		t.Errorf("with a new statement: %d", after.StatusCode)
	}
}

func TestReferenceHost(t *testing.T) {
	w := newWorld(t)
	a := w.baked(shop, "a")
	promote(t, w.service, a, "dev")
	ask := func(cfg Config, host string) (*httptest.ResponseRecorder, string) {
		cfg.Operations = w.service
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest("GET", "/api/v1/resolve?image=acme/shop&channel=dev", nil)
		req.Host = host
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, req)
		var r promotion.Resolution
		if err := json.Unmarshal(rec.Body.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		return rec, strings.TrimSuffix(r.Reference, "/acme/shop@"+string(a))
	}
	for _, host := range []string{"localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000", "registry.example.com", "kiln:5000"} {
		if rec, got := ask(Config{}, host); rec.Code != 200 || got != host {
			t.Errorf("Host %s: %d, %s", host, rec.Code, got)
		}
	}
	for _, host := range []string{"", "kiln", "a/b.example.com", "x@example.com", "example.com:port", "example.com:5000:tag", "a b.com", "evil.example/acme/shop@" + string(absent) + "#"} {
		if rec, got := ask(Config{}, host); rec.Code != 400 || got != "" {
			t.Errorf("Host %q: %d, %s", host, rec.Code, got)
		}
	}
	if rec, got := ask(Config{Host: "registry.example.com"}, "whatever"); rec.Code != 200 || got != "registry.example.com" {
		t.Errorf("configured host: %d, %s", rec.Code, got)
	}
}

func TestStatusesOfMoves(t *testing.T) {
	w := newWorld(t)
	a, b := w.baked(shop, "a"), w.baked(shop, "b")
	post := func(path, body string, status int) promotion.Promotion {
		t.Helper()
		resp, text := request(t, "POST", w.server.URL+"/api/v1/"+path, body)
		if resp.StatusCode != status {
			t.Fatalf("POST %s %s: %d %s, want %d", path, body, resp.StatusCode, text, status)
		}
		var p promotion.Promotion
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	toA := `{"image":"acme/shop","digest":"` + string(a) + `","channel":"dev"}`
	if p := post("promotions", toA, 201); p.Schema != promotion.PromotionSchema || p.Digest != a {
		t.Errorf("%+v", p)
	}
	post("promotions", toA, 200)
	post("promotions", strings.Replace(toA, string(a), string(b), 1), 201)
	post("rollbacks", `{"image":"acme/shop","channel":"dev"}`, 201)
	post("renewals", `{}`, 200)
	list := func(path string) (h promotion.History) {
		t.Helper()
		resp, text := request(t, "GET", w.server.URL+"/api/v1/"+path, "")
		if err := json.Unmarshal([]byte(text), &h); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%d %s: %v", resp.StatusCode, text, err)
		}
		return h
	}
	if h := list("history?image=acme/shop"); len(h.Entries) != 3 {
		t.Errorf("history %+v", h)
	}
	if h := list("promotions?image=acme/shop&channel=dev"); len(h.Entries) != 2 || h.Entries[0].Digest != b || h.Entries[1].Digest != a {
		t.Errorf("promotions %+v", h)
	}
	if h := list("promotions?image=acme/shop&limit=1"); len(h.Entries) != 0 || h.Next == "" {
		t.Errorf("a page with the rollback only %+v", h)
	}
}

// TestDamage: bytes that are not those of the digest are the server's fault.
func TestDamage(t *testing.T) {
	w := newWorld(t)
	a := w.baked(shop, "a")
	promote(t, w.service, a, "dev")
	w.damage(a)
	resp, body := request(t, "GET", w.server.URL+"/api/v1/resolve?image=acme/shop&channel=dev", "")
	if resp.StatusCode != 500 || !strings.Contains(body, `"kind":"verification"`) || resp.Header.Get("ETag") != "" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if !strings.Contains(w.log.String(), "do not match") {
		t.Errorf("the operator reads %q", w.log)
	}
}

func TestIdentity(t *testing.T) {
	w := newWorld(t)
	a := w.baked(shop, "a")
	s := serve(t, Config{Operations: w.service, Identity: func(r *http.Request) string {
		return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	}})
	c := dial(t, s, ClientOptions{Token: "alice@example.com"})
	ctx := t.Context()
	if _, err := c.Promote(ctx, promotion.PromoteRequest{Image: shop, Digest: a, Channel: "dev", By: "root"}); err != nil {
		t.Fatal(err)
	}
	r, err := c.Resolve(ctx, promotion.ResolveRequest{Image: shop, Channel: "dev"})
	if err != nil || r.PromotedBy != "alice@example.com" {
		t.Errorf("promoted by %q: %v", r.PromotedBy, err)
	}
	e, err := c.AddTrust(ctx, promotion.TrustRequest{Role: promotion.RoleApprove, Key: string(w.stranger.PublicPEM()), By: "root"})
	if err != nil || e.AddedBy != "alice@example.com" {
		t.Errorf("added by %q: %v", e.AddedBy, err)
	}
}

// TestSlowOperation: the deadline for the body is not one for the answer.
func TestSlowOperation(t *testing.T) {
	if bodyTimeout > time.Minute {
		t.Fatalf("a body may take %v", bodyTimeout)
	}
	s, err := New(Config{Operations: failing{err: &promotion.Error{Kind: promotion.KindDenied, Message: "no"}}})
	if err != nil {
		t.Fatal(err)
	}
	rec := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	req := httptest.NewRequest("POST", "/api/v1/renewals", strings.NewReader("{}"))
	req.Header.Set("Content-Type", "application/json")
	s.ServeHTTP(rec, req)
	if len(rec.set) < 2 || rec.set[0].IsZero() || !rec.set[len(rec.set)-1].IsZero() {
		t.Errorf("deadlines %v, want one, then none", rec.set)
	}
}

type deadlines struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	d.set = append(d.set, at)
	return nil
}

// garbled answers what cannot be encoded.
type garbled struct{ promotion.Operations }

func (garbled) Resolve(context.Context, promotion.ResolveRequest) (promotion.Resolution, error) {
	return promotion.Resolution{Image: shop, Channel: "dev", Digest: absent, Statement: json.RawMessage("{")}, nil
}

func (garbled) Images(context.Context, promotion.ImagesRequest) (promotion.Images, error) {
	panic("at once")
}

func TestBugs(t *testing.T) {
	s, err := New(Config{Operations: garbled{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"resolve?image=a&channel=b", "images"} {
		req := httptest.NewRequest("GET", BasePath+path, nil)
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, req)
		if rec.Code != 500 || !strings.Contains(rec.Body.String(), `"kind":"internal"`) {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	// An answer that has begun is cut, not ended as if it were whole.
	defer func() {
		if cause := recover(); cause != http.ErrAbortHandler {
			t.Errorf("panic %v", cause)
		}
	}()
	s.mux.HandleFunc("GET /api/v1/half", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"schema":`))
		panic("in the middle")
	})
	s.methods["/api/v1/half"] = []string{"GET"}
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/api/v1/half", nil))
}
