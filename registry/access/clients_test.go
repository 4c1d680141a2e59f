//go:build full

package access

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// clients is a world that real clients log in to.
type clients struct {
	*world
	dir, host string
	env       []string
}

func newClients(t *testing.T, change func(*Config)) *clients {
	t.Helper()
	w := newWorld(t, func(c *Config) {
		c.Now = nil // clients count the life of a session by their own clock
		if change != nil {
			change(c)
		}
	})
	dir := t.TempDir()
	img, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	img = mutate.ConfigMediaType(mutate.MediaType(img, types.OCIManifestSchema1), types.OCIConfigJSON)
	p, err := layout.Write(filepath.Join(dir, "image"), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "v1"})); err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(dir, "policy.json")
	if err := os.WriteFile(policy, []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return &clients{world: w, dir: dir, host: strings.TrimPrefix(w.server.URL, "http://"), env: append(os.Environ(),
		"HOME="+dir, "DOCKER_CONFIG="+filepath.Join(dir, "docker"), "REGISTRY_AUTH_FILE="+filepath.Join(dir, "auth.json"),
		"XDG_RUNTIME_DIR="+dir, "STORAGE_DRIVER=vfs", "BUILDAH_ISOLATION=chroot", "CONTAINERS_POLICY="+policy)}
}

// run runs a client that must succeed, or must not, and returns what it says.
func (c *clients) run(ok bool, stdin, program string, args ...string) string {
	c.Helper()
	file, err := filepath.Abs(filepath.Join("..", "..", "dist", "tools", program))
	if err != nil {
		c.Fatal(err)
	}
	if _, err := exec.LookPath(file); err != nil {
		file = program
	}
	cmd := exec.CommandContext(c.Context(), file, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = c.dir, c.env, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if (err == nil) != ok {
		c.Fatalf("%s %v: %v, want success: %v\n%s", program, args, err, ok, out)
	}
	return string(out)
}

// The login flow of the clients that people use: a password or a token is asked
// for once, turned into sessions, and what it may not do is refused as such.
func TestLoginOfClients(t *testing.T) {
	p := newProvider(t, &clock{now: time.Now()})
	c := newClients(t, func(cfg *Config) {
		cfg.Issuers, cfg.AnonymousPull = []Issuer{p.issuer()}, []string{"public/*"}
	})
	robot := c.robot("ci", grant("pull push delete", "acme/*"))
	logins := map[string]string{"alice": passwords["alice"], "token": robot, "ci": robot, "oidc": p.token()}
	ref := func(name string) string { return c.host + "/" + name }

	for user, password := range logins {
		c.run(true, password, "crane", "auth", "login", c.host, "-u", user, "--password-stdin")
		c.run(true, password, "skopeo", "login", "--tls-verify=false", "-u", user, "--password-stdin", c.host)
		name := "acme/by-" + user
		c.run(true, "", "skopeo", "copy", "--dest-tls-verify=false", "oci:image:v1", "docker://"+ref(name)+":v1")
		c.run(true, "", "crane", "copy", ref(name)+":v1", ref(name)+":v2")
		c.run(true, "", "crane", "copy", ref(name)+":v1", ref("acme/copied-by-"+user)+":v1")
		if out := c.run(true, "", "crane", "ls", ref(name)); out != "v1\nv2\n" {
			t.Errorf("tags %q", out)
		}
		c.run(true, "", "skopeo", "inspect", "--tls-verify=false", "docker://"+ref(name)+":v2")
		if user != "alice" {
			out := c.run(false, "", "skopeo", "copy", "--dest-tls-verify=false", "oci:image:v1", "docker://"+ref("secret/x")+":v1")
			if !strings.Contains(out, "403") {
				t.Errorf("skopeo says %s", out)
			}
			if out := c.run(false, "", "crane", "copy", ref(name)+":v1", ref("secret/x")+":v1"); !strings.Contains(out, "403") {
				t.Errorf("crane says %s", out)
			}
		}
	}
	c.run(true, robot, "crane", "auth", "login", c.host, "-u", "token", "--password-stdin")
	c.run(true, robot, "skopeo", "login", "--tls-verify=false", "-u", "token", "--password-stdin", c.host)
	if out := c.run(true, "", "crane", "catalog", c.host); !strings.Contains(out, "acme/by-ci") {
		t.Errorf("catalog %s", out)
	}
	c.run(true, "", "crane", "delete", ref("acme/by-ci")+":v2")
	c.run(true, "", "skopeo", "delete", "--tls-verify=false", "docker://"+ref("acme/by-oidc")+":v1")

	// Wrong passwords are told at login, and a revoked token at the next pull.
	c.run(false, "wrong", "skopeo", "login", "--tls-verify=false", "-u", "alice", "--password-stdin", c.host)
	id := robot[len("kiln_") : len("kiln_")+20]
	c.expect(200, "alice", "DELETE", "/api/v1/tokens?id="+id, "")
	if out := c.run(false, "", "crane", "ls", ref("acme/by-ci")); !strings.Contains(out, "UNAUTHORIZED") {
		t.Errorf("crane with a revoked token: %s", out)
	}

	// Without any login: what is public can be pulled, and nothing else.
	c.run(true, "", "crane", "auth", "logout", c.host)
	c.run(true, "", "skopeo", "logout", c.host)
	c.image("public/tool", "tool", "v1")
	c.run(true, "", "crane", "manifest", ref("public/tool")+":v1")
	c.run(true, "", "skopeo", "inspect", "--raw", "--tls-verify=false", "docker://"+ref("public/tool")+":v1")
	c.run(false, "", "crane", "manifest", ref("acme/by-ci")+":v1")
	c.run(false, "", "skopeo", "copy", "--dest-tls-verify=false", "oci:image:v1", "docker://"+ref("public/tool")+":v2")
}

// buildah, and so podman, which share their code for registries.
func TestBuildahLogin(t *testing.T) {
	c := newClients(t, nil)
	robot := c.robot("ci", grant("pull push", "acme/*"))
	root := []string{"--root", filepath.Join(c.dir, "root"), "--runroot", filepath.Join(c.dir, "run")}
	buildah := func(ok bool, stdin string, args ...string) string {
		c.Helper()
		return c.run(ok, stdin, "buildah", append(root, args...)...)
	}
	ref := c.host + "/acme/built:v1"
	c.run(true, robot, "buildah", "login", "--tls-verify=false", "-u", "token", "--password-stdin", c.host)
	name := strings.TrimSpace(buildah(true, "", "from", "scratch"))
	buildah(true, "", "config", "--label", "made=here", name)
	buildah(true, "", "commit", "--quiet", name, "built")
	buildah(true, "", "push", "--tls-verify=false", "built", "docker://"+ref)
	buildah(true, "", "rmi", "--force", "--all")
	buildah(true, "", "pull", "--tls-verify=false", ref)
	if out := buildah(false, "", "push", "--tls-verify=false", ref, "docker://"+c.host+"/secret/built:v1"); !strings.Contains(out, "403") {
		t.Errorf("buildah says %s", out)
	}
	c.run(false, "wrong", "buildah", "login", "--tls-verify=false", "-u", "alice", "--password-stdin", c.host)
}
