package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kiln/sign"
)

// place is a folder with a committed template and keys, and kiln run in it.
type place struct {
	t   *testing.T
	dir string
	env map[string]string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir()}
	p.env = map[string]string{
		"HOME": p.path("home"), "KILN_CACHE": p.path("cache"), "KILN_KEY": p.path("bake.key"),
	}
	for _, name := range []string{"bake", "promote"} {
		if err := testKey(p.path(name), ""); err != nil {
			t.Fatal(err)
		}
	}
	text := "project = \"acme\"\nimage \"files\" {\n  tier = \"base\"\n  copy {\n    source = \"kiln.hcl\"\n    target = \"/srv\"\n  }\n}\n"
	if err := os.MkdirAll(p.path("app"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.path("app", "kiln.hcl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "kiln.hcl"}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "one"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = p.path("app")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return p
}

func (p *place) path(parts ...string) string {
	return filepath.Join(append([]string{p.dir}, parts...)...)
}

// kiln runs a command line that must end with code.
func (p *place) kiln(code int, args ...string) (stdout, stderr string) {
	p.t.Helper()
	var out, talk bytes.Buffer
	got := run(p.t.Context(), args, stdio{in: new(bytes.Buffer), out: &out, err: &talk}, func(name string) string { return p.env[name] })
	if got != code {
		p.t.Fatalf("kiln %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, &out, &talk)
	}
	return out.String(), talk.String()
}

// serve answers for the store in dir as kiln serve does.
func (p *place) serve(dir, promotionKey string) *httptest.Server {
	p.t.Helper()
	a := &app{stdio: stdio{out: io.Discard, err: io.Discard}, store: dir, getenv: func(name string) string { return p.env[name] }}
	cfg, err := a.serveConfig(serveFlags{promotionKey: promotionKey})
	if err != nil {
		p.t.Fatal(err)
	}
	server, err := a.newServer(p.t.Context(), cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	s := httptest.NewServer(server.main)
	p.t.Cleanup(s.Close)
	return s
}

func TestBakeAsksServerFirst(t *testing.T) {
	p := newPlace(t)
	keyless := p.serve(p.path("keyless"), "")
	_, talk := p.kiln(exitDenied, "--store", keyless.URL, "bake", p.path("app"), "--promote", "dev")
	if !strings.Contains(talk, "has no promotion key") || strings.Contains(talk, "acme/files") {
		t.Errorf("a server without a key is not refused before the build:\n%s", talk)
	}
	s := p.serve(p.path("store"), p.path("promote.key"))
	p.kiln(exitDone, "--store", s.URL, "bake", p.path("app"), "--promote", "dev")
	_, talk = p.kiln(exitNotFound, "--store", s.URL, "bake", p.path("app"), "--promote", "nowhere")
	if !strings.Contains(talk, "--promote nowhere") || strings.Contains(talk, "acme/files") {
		t.Errorf("an unknown channel is not refused before the build:\n%s", talk)
	}
}

func TestVerifyRemote(t *testing.T) {
	p := newPlace(t)
	s := p.serve(p.path("store"), p.path("promote.key"))
	out, _ := p.kiln(exitDone, "--store", s.URL, "bake", p.path("app"), "--json")
	var report bakeReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	img := report.Images[0]
	host := strings.TrimPrefix(s.URL, "http://")
	for _, ref := range []string{host + "/" + img.Image + "@" + img.Digest.String(), host + "/" + img.Image + ":" + img.Tag} {
		out, _ := p.kiln(exitDone, "verify", ref, "--key", p.path("bake.pub"))
		if !strings.Contains(out, "signed by") || !strings.Contains(out, sign.ProvenancePredicate) {
			t.Errorf("verify %s prints %q", ref, out)
		}
		p.kiln(exitUnverified, "verify", ref, "--key", p.path("promote.pub"))
	}
	p.kiln(exitNotFound, "verify", host+"/acme/none:tag", "--key", p.path("bake.pub"))
}
