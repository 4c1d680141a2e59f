package main

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/crypto/bcrypt"
)

// withAuth serves for ann and cat, who may do all with acme/*, and bob, who may
// pull acme/shop.
func withAuth(t *testing.T, more string) *running {
	t.Helper()
	users := ""
	for _, name := range []string{"ann", "bob", "cat"} {
		hash, err := bcrypt.GenerateFromPassword([]byte(name+"'s secret"), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		users += name + ":" + string(hash) + "\n"
	}
	return startServe(t, `
auth {
  htpasswd       = "users"
  anonymous_pull = ["acme/public"]
  user "ann" {
    grant {
      images = ["acme/*"]
      verbs  = ["pull", "push", "delete"]
    }
  }
  user "cat" {
    grant {
      images = ["acme/*"]
      verbs  = ["pull", "push", "delete"]
    }
  }
  user "bob" {
    grant {
      images = ["acme/shop"]
      verbs  = ["pull"]
    }
  }
}
log {
  format = "json"
}
`+more, map[string]string{"users": users, "metrics.token": "scrape-me\n"})
}

// as asks with a user's password.
func (r *running) as(user, method, path, body string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.SetBasicAuth(user, user+"'s secret")
	return r.send(http.DefaultClient, method, path, strings.NewReader(body), "Authorization", req.Header.Get("Authorization"))
}

// TestServeAccess: the gate stands in front of everything but probes, and the
// log knows who asked.
func TestServeAccess(t *testing.T) {
	r := withAuth(t, "")
	d := digest.FromString("x").String()
	if resp, body := r.as("ann", "POST", "/v2/acme/shop/blobs/uploads/?digest="+d, "x"); resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s", resp.Status, body)
	}
	for _, c := range []struct {
		who, method, path string
		want              int
	}{
		{"bob", "GET", "/v2/acme/shop/blobs/" + d, 200},
		{"bob", "DELETE", "/v2/acme/shop/blobs/" + d, 403},
		{"bob", "GET", "/v2/acme/other/blobs/" + d, 403},
		{"bob", "POST", "/v2/acme/shop/blobs/uploads/", 403},
		{"eve", "GET", "/v2/", 401},
		{"", "GET", "/v2/", 401},
		{"", "GET", "/v2/acme/shop/blobs/" + d, 401},
		{"", "GET", "/v2/acme/public/tags/list", 404},
		{"", "GET", "/api/v1/versions?image=acme/shop", 401},
		{"", "GET", "/api/v1/trust", 401},
		{"", "GET", healthPath, 200},
		{"", "GET", readyPath, 200},
		{"", "GET", metricsPath, 404},
	} {
		var resp *http.Response
		var body string
		if c.who == "" {
			resp, body = r.do(c.method, c.path)
		} else {
			resp, body = r.as(c.who, c.method, c.path, "")
		}
		if resp.StatusCode != c.want {
			t.Errorf("%s %s %s: %s %s", c.who, c.method, c.path, resp.Status, body)
		}
	}
	var who []any
	for _, line := range r.logged("request") {
		who = append(who, line["identity"])
	}
	if len(who) < 3 || who[0] != "ann" || who[1] != "bob" {
		t.Errorf("identities %v", who)
	}
	if len(r.logged("audit")) < 3 || r.logged("audit")[0]["identity"] != "ann" {
		t.Errorf("audit %v", r.logged("audit"))
	}
	if strings.Contains(r.lines.String(), "secret") {
		t.Errorf("a password is in the log:\n%s", r.lines)
	}
}

// TestUploadOwner: FAULTS 6. An upload is its owner's.
func TestUploadOwner(t *testing.T) {
	r := withAuth(t, "")
	resp, _ := r.as("ann", "POST", "/v2/acme/shop/blobs/uploads/", "")
	location := resp.Header.Get("Location")
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		if resp, body := r.as("cat", method, location, ""); resp.StatusCode != http.StatusNotFound {
			t.Errorf("another who may push, %s: %s %s", method, resp.Status, body)
		}
	}
	if resp, body := r.as("ann", "GET", strings.Replace(location, "acme/shop", "acme/other", 1), ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("another repository: %s %s", resp.Status, body)
	}
	if resp, body := r.as("ann", "PATCH", location, "x"); resp.StatusCode != http.StatusAccepted {
		t.Errorf("the owner: %s %s", resp.Status, body)
	}
}

// TestMetricsSecret: with users, /metrics wants the secret of its block, and no
// password opens it.
func TestMetricsSecret(t *testing.T) {
	r := withAuth(t, "metrics {\n  token = \"metrics.token\"\n}\n")
	if resp, _ := r.do("GET", metricsPath); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without: %s", resp.Status)
	}
	if resp, _ := r.do("GET", metricsPath, "Authorization", "Bearer wrong"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("wrong: %s", resp.Status)
	}
	if resp, _ := r.do("GET", metricsPath, "Authorization", "Bearer "); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("empty: %s", resp.Status)
	}
	if resp, _ := r.as("ann", "GET", metricsPath, ""); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a user: %s", resp.Status)
	}
	resp, body := r.do("GET", metricsPath, "Authorization", "Bearer scrape-me")
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, "kiln_build_info") {
		t.Errorf("right: %s", resp.Status)
	}
	if !strings.Contains(body, `kiln_http_refusals_total{reason="credentials"} 3`) {
		t.Errorf("refusals are not counted:\n%s", body)
	}
}

// TestOwnAddresses: metrics and profiles are on addresses of their own, and
// never on the main one; those of loopback are closed to pages of other sites.
func TestOwnAddresses(t *testing.T) {
	r := startServe(t, "metrics {\n  listen = \"127.0.0.1:0\"\n}\npprof {\n  listen = \"127.0.0.1:0\"\n}\nlog {\n  format = \"json\"\n}\n", nil)
	for _, path := range []string{metricsPath, "/debug/pprof/", "/debug/pprof/heap"} {
		if resp, _ := r.do("GET", path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s on the main address: %s", path, resp.Status)
		}
	}
	paths := map[string]string{"metrics": metricsPath, "pprof": "/debug/pprof/cmdline"}
	for _, line := range r.logged("listening") {
		path := paths[line["for"].(string)]
		delete(paths, line["for"].(string))
		beside := &running{t: t, url: "http://" + line["address"].(string)}
		if resp, _ := beside.do("GET", path); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
		if resp, _ := beside.do("GET", path, "Origin", "https://elsewhere.example.com"); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s for a page of another site: %s", path, resp.Status)
		}
		if resp, _ := beside.do("GET", "/v2/"); resp.StatusCode != http.StatusNotFound {
			t.Errorf("the registry is beside itself: %s", resp.Status)
		}
	}
	if len(paths) > 0 {
		t.Errorf("nobody listens for %v", paths)
	}
}

// TestManifestOfStrangers: FAULTS 4, 22. Who may not push is told so before a
// manifest is read into memory; the audit knows.
func TestManifestOfStrangers(t *testing.T) {
	r := withAuth(t, "")
	conn := r.raw("PUT /v2/acme/shop/manifests/v1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\nx")
	conn.SetReadDeadline(time.Now().Add(15 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("Www-Authenticate") == "" {
		t.Errorf("%v: %+v", err, resp)
	}
	if !strings.Contains(r.lines.String(), `"verb":"push_manifest","identity":"anonymous","outcome":"denied","repo":"acme/shop","tag":"v1"`) {
		t.Error("the audit does not know")
	}
}
