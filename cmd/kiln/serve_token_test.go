//go:build full

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/registry/promotion"
	"kiln/sign"
)

// shell runs kiln in this process, with an environment of its own.
type shell struct {
	t   *testing.T
	env map[string]string
}

// kiln wants an exit code and returns what was printed, data and talk.
func (s shell) kiln(code int, args ...string) (out, talk string) {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	if got := run(s.t.Context(), args, stdio{out: &stdout, err: &stderr}, func(name string) string { return s.env[name] }); got != code {
		s.t.Errorf("kiln %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.String(), stderr.String()
}

// with is the same shell with another token.
func (s shell) with(token string) shell {
	env := map[string]string{"KILN_TOKEN": token}
	for name, value := range s.env {
		if name != "KILN_TOKEN" {
			env[name] = value
		}
	}
	return shell{s.t, env}
}

// TestTokenOfCI: what a pipeline does against a server that asks who it is: an
// admin makes a token, the pipeline bakes and promotes with it as far as it
// goes, and when the token is revoked it ends.
func TestTokenOfCI(t *testing.T) {
	dir := t.TempDir()
	key, _, err := sign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"promote.key":       string(key),
		"app/kiln.hcl":      "project = \"acme\"\nimage \"app\" {\n  tier = \"base\"\n  copy {\n    source = \"top\"\n    target = \"/srv\"\n  }\n}\n",
		"app/top/hello.txt": "hello\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := startServe(t, "promotion_key = \"promote.key\"\nauth {\n}\nlog {\n  format = \"json\"\n}\n", map[string]string{"promote.key": string(key)})
	home := map[string]string{"HOME": dir, "KILN_CACHE": filepath.Join(dir, "cache")}
	local := shell{t, map[string]string{"HOME": dir, "KILN_STORE": filepath.Join(r.dir, "store")}}
	home["KILN_STORE"] = r.url
	bakeKey := filepath.Join(dir, "bake")
	local.kiln(0, "keygen", "--output-prefix", bakeKey)

	// The first admin is made on the machine of the store; the rest over HTTP.
	secret, _ := local.kiln(0, "token", "create", "root", "--image", "**", "--verb", "admin")
	root := shell{t, home}.with(strings.TrimSpace(secret))
	made, _ := root.kiln(0, "token", "create", "ci", "--image", "acme/*", "--verb", "pull,push,promote", "--channel", "dev", "--expires", "30d", "--json")
	var token promotion.Token
	if err := json.Unmarshal([]byte(made), &token); err != nil || token.CreatedBy != "token:root" {
		t.Fatalf("%s: %v", made, err)
	}
	var text struct{ Token string }
	if err := json.Unmarshal([]byte(made), &text); err != nil {
		t.Fatal(err)
	}
	ci := root.with(text.Token)
	bake := []string{"bake", filepath.Join(dir, "app"), "--key", bakeKey + ".key", "--allow-dirty", "--json"}

	_, talk := ci.kiln(3, bake...) // its key is nobody's yet, and only an admin lists one
	if !strings.Contains(talk, "no key is trusted to bake yet") || !strings.Contains(talk, "kiln trust add") {
		t.Errorf("%s", talk)
	}
	root.kiln(0, "trust", "add", bakeKey+".pub", "--role", "bake", "--image", "acme/*")
	_, talk = ci.kiln(3, "trust", "add", bakeKey+".pub", "--role", "promote")
	if !strings.Contains(talk, "token:ci may not see or change trust and tokens") {
		t.Errorf("%s", talk)
	}
	out, _ := ci.kiln(0, bake...)
	var report bakeReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Images) != 1 {
		t.Fatalf("%s: %v", out, err)
	}
	version := "acme/app@" + string(report.Images[0].Digest)
	ci.kiln(3, "promote", version, "--to", "prod")
	ci.kiln(3, "rollback", "acme/app", "--channel", "dev")
	ci.kiln(3, "token", "list")
	root.kiln(3, "versions", "acme/app") // an admin who was given nothing else
	shell{t, home}.kiln(3, "versions", "acme/app")
	_, talk = ci.with("kiln_wrong").kiln(3, "versions", "acme/app")
	if !strings.Contains(talk, "invalid credentials") || strings.Contains(talk, "kiln_wrong") {
		t.Errorf("%s", talk)
	}
	if out, talk := ci.kiln(0, "versions", "acme/app"); !strings.Contains(out, string(report.Images[0].Digest)) {
		t.Errorf("%s%s", out, talk)
	}
	root.kiln(0, "token", "revoke", "ci")
	ci.kiln(3, "versions", "acme/app")
	promoted := 0
	for _, line := range r.logged("audit") {
		if line["verb"] != "promote" {
			continue
		}
		promoted++
		if line["identity"] != "token:ci" || line["channel"] != "prod" || line["outcome"] != "denied" {
			t.Errorf("audited %v", line)
		}
	}
	if promoted != 1 {
		t.Errorf("%d promotions are audited", promoted)
	}
	if strings.Contains(r.lines.String(), text.Token) || strings.Contains(r.lines.String(), strings.TrimSpace(secret)) {
		t.Error("the server's log has a token")
	}
}
