package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"kiln/registry/promotion"
)

// loggedIn is what docker login leaves for a user of a host.
func loggedIn(t *testing.T, host, user, password string) {
	t.Helper()
	dir := t.TempDir()
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	text := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, auth)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
}

// withAdmin serves for ann, an admin, and nobody else.
func withAdmin(t *testing.T) *running {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("ann's secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return startServe(t, `
auth {
  htpasswd = "users"
  user "ann" {
    grant {
      images = ["**"]
      verbs  = ["pull", "admin", "gc"]
    }
  }
}
`, map[string]string{"users": "ann:" + string(hash) + "\n"})
}

// TestLogin: people of the htpasswd file use kiln with what docker login left;
// it goes to that server alone, and KILN_TOKEN stands above it.
func TestLogin(t *testing.T) {
	r := withAdmin(t)
	p := newPlace(t)
	p.env["KILN_STORE"] = r.url
	loggedIn(t, r.address(), "ann", "ann's secret")
	secret, _ := p.kiln(0, "token", "create", "ci", "--image", "acme/*", "--verb", "pull")
	p.kiln(0, "images")
	p.kiln(0, "gc")
	if out, _ := p.kiln(0, "token", "list"); !strings.Contains(out, "ann") {
		t.Errorf("made by nobody: %s", out)
	}

	p.env["KILN_TOKEN"] = strings.TrimSpace(secret)
	if _, talk := p.kiln(3, "token", "list"); !strings.Contains(talk, "token:ci may not see or change trust and tokens") {
		t.Errorf("KILN_TOKEN does not win: %s", talk)
	}
	delete(p.env, "KILN_TOKEN")

	loggedIn(t, r.address(), "ann", "wrong")
	if _, talk := p.kiln(3, "images"); !strings.Contains(talk, "docker login "+r.address()) || strings.Contains(talk, "wrong") {
		t.Errorf("a wrong password: %s", talk)
	}
	loggedIn(t, "registry.example.com", "ann", "ann's secret")
	if _, talk := p.kiln(3, "images"); !strings.Contains(talk, "authentication required") || !strings.Contains(talk, "docker login "+r.address()) {
		t.Errorf("a login at another server: %s", talk)
	}
}

// TestCopyRefused: who is refused by a registry is told how to log in, or what
// right is missing.
func TestCopyRefused(t *testing.T) {
	r := withAdmin(t)
	p := newPlace(t)
	p.env["KILN_STORE"], p.env["KILN_TOKEN"] = p.path("store"), "kiln_token"
	p.kiln(0, "bake", p.path("app"))
	out, _ := p.kiln(0, "versions", "acme/files", "--json")
	var list promotion.Versions
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Versions) != 1 {
		t.Fatalf("%s: %v", out, err)
	}
	source, host := "acme/files@"+list.Versions[0].Digest.String(), r.address()
	_, talk := p.kiln(3, "copy", source, host+"/acme/files")
	if !strings.Contains(talk, "hint: log in: docker login "+host) || !strings.Contains(talk, "KILN_TOKEN is sent to the server of --store alone") {
		t.Errorf("nobody: %s", talk)
	}
	_, talk = p.kiln(3, "copy", host+"/acme/files:x", "acme/other")
	if !strings.Contains(talk, "hint: log in: docker login "+host) {
		t.Errorf("nobody, who pulls: %s", talk)
	}
	loggedIn(t, host, "ann", "ann's secret")
	_, talk = p.kiln(3, "copy", source, host+"/acme/files")
	if !strings.Contains(talk, "the right to push is missing there") {
		t.Errorf("who may not push: %s", talk)
	}
	delete(p.env, "KILN_TOKEN")
	loggedIn(t, host, "ann", "wrong")
	_, talk = p.kiln(3, "copy", source, host+"/acme/files")
	if !strings.Contains(talk, "docker login "+host) {
		t.Errorf("a wrong password: %s", talk)
	}
}

// TestBakeAsksForAnAdminFirst: where the first key is an admin's to list, others
// are told before anything is built.
func TestBakeAsksForAnAdminFirst(t *testing.T) {
	r := withAdmin(t)
	p := newPlace(t)
	p.env["KILN_STORE"] = r.url
	loggedIn(t, r.address(), "ann", "ann's secret")
	secret, _ := p.kiln(0, "token", "create", "ci", "--image", "acme/*", "--verb", "pull,push")
	p.env["KILN_TOKEN"] = strings.TrimSpace(secret)
	_, talk := p.kiln(3, "bake", p.path("app"))
	if !strings.Contains(talk, "no key is trusted to bake yet") || !strings.Contains(talk, "kiln trust add KEY.pub") || strings.Contains(talk, "acme/files") {
		t.Errorf("not refused before the build: %s", talk)
	}
	delete(p.env, "KILN_TOKEN")
	p.kiln(0, "trust", "add", p.path("bake.pub"), "--role", "bake")
	p.env["KILN_TOKEN"] = strings.TrimSpace(secret)
	if _, talk := p.kiln(0, "bake", p.path("app")); !strings.Contains(talk, "acme/files: stored and signed") {
		t.Errorf("%s", talk)
	}
}
