//go:build full

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/registry/store/s3store/s3test"
)

// plainProject needs no package and no sandbox.
const plainProject = `project = "acme"
image "app" {
  tier = "base"
  copy {
    source = "files"
    target = "/srv/app"
  }
}
`

// inS3 is a world whose store is in a bucket.
func inS3(t *testing.T) (*served, *s3test.Server) {
	t.Helper()
	server := s3test.Start(t)
	w := newWorld(t)
	location := server.Location(server.Bucket())
	w.env = append(append(w.env, server.Env()...), "KILN_STORE="+location)
	w.plain()
	return &served{world: w, location: location}, server
}

// plain makes keys and a committed project that needs little to bake.
func (w *world) plain() {
	w.t.Helper()
	w.keys("bake", "promote")
	w.mkdir("app/files")
	for name, content := range map[string]string{"app/kiln.hcl": plainProject, "app/files/index.html": "hello"} {
		if err := os.WriteFile(w.path(filepath.FromSlash(name)), []byte(content), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	w.git("app", "init", "-q")
	w.git("app", "add", ".")
	w.git("app", "commit", "-q", "-m", "one")
}

// TestBucket: the main job with nothing but a bucket between bake and
// deployer.
func TestBucket(t *testing.T) {
	s, _ := inS3(t)
	var report bakeReport
	if err := json.Unmarshal(s.run("bake", "app", "--key", "bake.key", "--json"), &report); err != nil {
		t.Fatal(err)
	}
	ref := "acme/app@" + string(report.Images[0].Digest)

	if out := s.exits(exitDenied, "promote", ref, "--to", "dev"); !strings.Contains(out, "--promotion-key") {
		t.Errorf("promotion without a key says %s", out)
	}
	s.exits(exitDenied, "bake", "app", "--key", "bake.key", "--promote", "dev")
	if _, err := os.Stat(s.path("home", ".config", "kiln", "promotion.key")); err == nil {
		t.Error("a promotion key was made for a bucket")
	}
	s.run("promote", ref, "--to", "dev", "--promotion-key", "promote.key")
	out := s.run("resolve", "acme/app", "--channel", "dev", "--verify-key", "bake.pub", "--promotion-key", "promote.pub", "--format", "ref")
	if got := strings.TrimSpace(string(out)); got != ref {
		t.Errorf("resolved %s, want %s", got, ref)
	}
	if out := string(s.run("versions", "acme/app", "--json")); !strings.Contains(out, report.Images[0].Tag) {
		t.Errorf("versions: %s", out)
	}
	s.exits(exitConflict, "promote", ref, "--to", "dev", "--expect", "none", "--promotion-key", "promote.key")
	s.run("doctor", "--scrub")

	// The same bucket, served: crane sees what was baked, and kiln what crane
	// pushes.
	s.start()
	s.ask("crane", "copy", s.host+"/"+ref, s.host+"/acme/copied:latest")
	if out := string(s.run("images", "--json")); !strings.Contains(out, "acme/copied") {
		t.Errorf("images: %s", out)
	}
	if got := s.ask("crane", "digest", s.host+"/acme/app:dev"); !strings.HasSuffix(ref, got) {
		t.Errorf("the channel is %s, want that of %s", got, ref)
	}
}

// TestBucketMissing: what a wrong location gets to hear, and the exit codes.
func TestBucketMissing(t *testing.T) {
	s, server := inS3(t)
	for _, c := range []struct {
		code           int
		location, want string
	}{
		{exitError, server.Location("there-is-none"), "make it first"},
		{exitError, "s3://bucket?endpoint=http://127.0.0.1:1", "check endpoint"},
		{exitUsage, "s3://", "names no bucket"},
		{exitUsage, "s3://bucket?regoin=x", "unknown option"},
		{exitUsage, "gs://bucket", "s3://BUCKET"},
		{exitNotFound, server.Location(server.Bucket()), "kiln bake makes one"},
	} {
		if out := s.exits(c.code, "versions", "acme/app", "--store", c.location); !strings.Contains(out, c.want) {
			t.Errorf("%s: %s\nwant %q", c.location, out, c.want)
		}
	}
	if out := s.exits(exitError, "serve", "--listen", "127.0.0.1:0", "--store", server.Location("there-is-none")); !strings.Contains(out, "make it first") {
		t.Errorf("serve: %s", out)
	}
}
