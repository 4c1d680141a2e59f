package bake

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kiln/bake/template"
)

// repo is a git repository under test.
type repo struct {
	t   *testing.T
	dir string
}

func newRepo(t *testing.T, files map[string]string) repo {
	t.Helper()
	r := repo{t, t.TempDir()}
	r.git("init", "--quiet", "--initial-branch=main")
	r.commit(files)
	return r
}

func (r repo) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always"}, args...)...)
	cmd.Dir, cmd.Env = r.dir, append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r repo) commit(files map[string]string) string {
	r.t.Helper()
	for name, text := range files {
		file := filepath.Join(r.dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	r.git("add", "-A")
	r.git("commit", "--quiet", "-m", "x")
	return r.git("rev-parse", "HEAD")
}

// cloning is a template with one git step.
func cloning(url, ref, more string) map[string]string {
	return map[string]string{"kiln.hcl": "project = \"acme\"\nimage \"a\" {\n  git {\n    url = \"" + url + "\"\n    ref = \"" + ref + "\"\n    target = \"/src\"\n    " + more + "\n  }\n}\n"}
}

// relock pins a recipe and returns a builder with that lock.
func relock(t *testing.T, cache *Cache, recipe *template.Recipe, old *template.Lock, refresh bool) *Builder {
	t.Helper()
	next, err := (&Locker{Cache: cache, Refresh: refresh}).Lock(t.Context(), recipe, old)
	if err != nil {
		t.Fatal(err)
	}
	return builder(t, BuilderOptions{Cache: cache, Lock: next})
}

func TestGitStep(t *testing.T) {
	r := newRepo(t, map[string]string{
		"main.go": "one", "bin/tool": "#!", "docs/readme": "words", ".gitattributes": "*.go export-ignore\n*.go filter=evil text eol=crlf\n",
	})
	if err := os.Chmod(filepath.Join(r.dir, "bin/tool"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("bin/tool", filepath.Join(r.dir, "link")); err != nil {
		t.Fatal(err)
	}
	first := r.commit(nil)
	r.git("tag", "-a", "v1", "-m", "x")
	recipe := project(t, cloning("file://"+r.dir, "main", "exclude = [\"docs/\", \".gitattributes\"]\n owner = \"3:4\""))
	cache := builder(t, BuilderOptions{}).Cache
	b := relock(t, cache, recipe, nil, false)
	img := buildAll(t, b, recipe)
	compareLines(t, contentOf(t, img.Image), "src/ 755 3:4", "src/bin/ 755 3:4", "src/bin/tool 755 3:4 #!", "src/link 777 3:4 -> bin/tool", "src/main.go 644 3:4 one")
	if in := img.Inputs[0]; in.URI != "git+file://"+r.dir || in.Digest["gitCommit"] != first {
		t.Errorf("input %+v, want commit %s", in, first)
	}

	second := r.commit(map[string]string{"main.go": "two"})
	kept := buildAll(t, relock(t, cache, recipe, b.Lock, false), recipe)
	if kept.Digest != img.Digest || !kept.Steps[0].Cached {
		t.Error("a locked commit moved with its branch")
	}
	moved := relock(t, cache, recipe, b.Lock, true)
	if got := moved.Lock.Images["a"].Git["file://"+r.dir+"#main"]; got != second {
		t.Errorf("refreshed to %s, want %s", got, second)
	}
	compareLines(t, contentOf(t, buildAll(t, moved, recipe).Image)[4:], "src/main.go 644 3:4 two")

	// A tag is what it points to; a commit needs no lock; a folder is its content.
	tagged := project(t, cloning(r.dir, "v1", `subdir = "bin"`))
	compareLines(t, contentOf(t, buildAll(t, relock(t, cache, tagged, nil, false), tagged).Image), "src/ 755 0:0", "src/tool 755 0:0 #!")
	pinned := project(t, cloning(r.dir, first, `subdir = "bin"`))
	if template.NeedsLock(pinned.Images[0]) {
		t.Error("a commit needs a lock")
	}
	buildAll(t, builder(t, BuilderOptions{Cache: cache}), pinned)

	// What a bake has seen needs neither the repository nor git.
	if err := os.RemoveAll(r.dir); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "/nothing")
	again := buildAll(t, builder(t, BuilderOptions{Cache: cache, Lock: b.Lock}), recipe)
	if again.Digest != img.Digest || !again.Steps[0].Cached {
		t.Errorf("again: %+v", again.Steps)
	}
}

func TestGitStepErrors(t *testing.T) {
	r := newRepo(t, map[string]string{"a": "a", "deep/source/b": "b"})
	commit := r.git("rev-parse", "HEAD")
	sub := newRepo(t, map[string]string{"b": "b"})
	sub.git("submodule", "--quiet", "add", r.dir, "mod")
	sub.commit(nil)
	for name, c := range map[string]struct {
		url, ref, more, want string
	}{
		"no ref":      {r.dir, "none", "", "has no branch or tag \"none\""},
		"no commit":   {r.dir, strings.Repeat("a", 40), "", "does not give commit " + strings.Repeat("a", 40)},
		"no repo":     {r.dir + "-none", "main", "", "git ls-remote:"},
		"no folder":   {r.dir, commit, `subdir = "none"`, "-> /src: commit " + commit + " of " + r.dir + ` has no folder "none" (it has deep)`},
		"near folder": {r.dir, commit, `subdir = "deep/sorce"`, `has no folder "deep/sorce" (did you mean "deep/source"?)`},
		"a file":      {r.dir, commit, `subdir = "a"`, `subdir "a" is no folder in commit ` + commit},
		"submodule":   {sub.dir, "main", "", `"mod" is a submodule: its files are in another repository`},
		"no submodul": {sub.dir, "main", `exclude = ["mod"]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			recipe := project(t, cloning(c.url, c.ref, c.more))
			cache := builder(t, BuilderOptions{}).Cache
			lock, err := (&Locker{Cache: cache}).Lock(t.Context(), recipe, nil)
			if err == nil {
				_, err = builder(t, BuilderOptions{Cache: cache, Lock: lock}).Build(t.Context(), recipe.Images[0])
			}
			if err != nil && strings.HasPrefix(c.more, "subdir") && !strings.HasPrefix(err.Error(), "kiln.hcl:3: ") {
				t.Errorf("no position: %v", err)
			}
			if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// Nothing of the user's own configuration reaches git.
func TestGitHermetic(t *testing.T) {
	r := newRepo(t, map[string]string{"a": "a"})
	home := t.TempDir()
	touched := filepath.Join(home, "touched")
	config := "[url \"file:///nowhere/\"]\n\tinsteadOf = " + r.dir + "\n[core]\n\tfsmonitor = touch " + touched + "\n[credential]\n\thelper = !touch " + touched + "\n"
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	t.Setenv("GIT_DIR", home)
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "url.file:///nowhere/.insteadOf")
	t.Setenv("GIT_CONFIG_VALUE_0", r.dir)
	commit, err := builder(t, BuilderOptions{}).cache.resolveRef(t.Context(), r.dir, "main")
	if err != nil || len(commit) != 40 {
		t.Errorf("got %q, %v", commit, err)
	}
	if _, err := os.Stat(touched); err == nil {
		t.Error("a program of the user's configuration ran")
	}
}
