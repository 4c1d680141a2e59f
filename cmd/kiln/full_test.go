//go:build full

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A sandbox for whole processes: the kiln program, and a place of its own for
// everything that it writes.
type world struct {
	t    *testing.T
	kiln string
	dir  string
	env  []string
}

// built is the kiln program, in a file without a name: linking it takes longer
// than many a test.
var built = sync.OnceValues(func() (*os.File, error) {
	dir, err := os.MkdirTemp("", "kiln-built-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "kiln")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, ".").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return os.Open(path)
})

// newWorld puts kiln into bin, and copies testdata/shop to dir/shop.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	w.kiln = filepath.Join(w.mkdir("bin"), "kiln")
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	// Copied by a process of its own, so that no child of this one holds the
	// program open for writing when it is started.
	cp := exec.Command("cp", "/proc/self/fd/3", w.kiln)
	cp.ExtraFiles = []*os.File{program}
	w.must(cp)
	w.env = append(os.Environ(), "HOME="+w.mkdir("home"), "KILN_CACHE="+w.mkdir("cache"), "KILN_STORE="+w.path("store"),
		"COSIGN_PASSWORD=secret", "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "XDG_DATA_HOME=", "XDG_CACHE_HOME=",
		"KILN_KEY=", "KILN_PROMOTION_KEY=", "SOURCE_DATE_EPOCH=")
	w.must(exec.Command("cp", "-R", filepath.Join("..", "..", "testdata", "shop"), w.path("shop")))
	os.Remove(w.path("shop", "kiln.lock"))
	return w
}

func (w *world) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

func (w *world) mkdir(name string) string {
	w.t.Helper()
	if err := os.MkdirAll(w.path(name), 0o755); err != nil {
		w.t.Fatal(err)
	}
	return w.path(name)
}

// must runs a command to its good end and returns its stdout.
func (w *world) must(cmd *exec.Cmd) []byte {
	w.t.Helper()
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out.Bytes(), talk.Bytes())
	}
	return out.Bytes()
}

// command is kiln in this world; more of env wins.
func (w *world) command(env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(w.kiln, args...)
	cmd.Dir, cmd.Env = w.dir, append(w.env[:len(w.env):len(w.env)], env...)
	return cmd
}

// run runs kiln to its good end.
func (w *world) run(args ...string) []byte {
	w.t.Helper()
	return w.must(w.command(nil, args...))
}

// keys makes key pairs, as keygen would; see testKey.
func (w *world) keys(names ...string) {
	w.t.Helper()
	for _, name := range names {
		if err := testKey(w.path(name), "secret"); err != nil {
			w.t.Fatal(err)
		}
	}
}

// git runs git in a folder of the world.
func (w *world) git(dir string, args ...string) {
	w.t.Helper()
	args = append([]string{"-C", w.path(dir), "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)
	w.must(exec.Command("git", args...))
}

// commit puts a folder into a git commit.
func (w *world) commit(dir string) {
	w.t.Helper()
	if _, err := os.Stat(w.path(dir, ".git")); err != nil {
		w.git(dir, "init", "-q")
	}
	w.git(dir, "add", "-A")
	w.git(dir, "commit", "-q", "--allow-empty", "-m", "change")
}

// digests reads the digests of a bake's images out of its JSON.
func (w *world) digests(out []byte) map[string]string {
	w.t.Helper()
	var report bakeReport
	if err := json.Unmarshal(out, &report); err != nil {
		w.t.Fatalf("%v in %s", err, out)
	}
	list := map[string]string{}
	for _, img := range report.Images {
		list[img.Image] = string(img.Digest)
	}
	return list
}
