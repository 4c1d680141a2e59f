package bake

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repository makes a git repository with a template in a subfolder.
func repository(t *testing.T) (dir string, git func(args ...string)) {
	t.Helper()
	top := t.TempDir()
	dir = filepath.Join(top, "app")
	git = func(args ...string) {
		t.Helper()
		args = append([]string{"-C", top, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	put(t, filepath.Join(dir, "kiln.hcl"), "project = \"x\"\n")
	put(t, filepath.Join(top, "elsewhere.txt"), "one")
	put(t, filepath.Join(dir, ".gitignore"), "dist/\n")
	git("init", "-q")
	git("add", "-A")
	git("commit", "-q", "-m", "one")
	return dir, git
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDirty(t *testing.T) {
	readAll := []string{"new.txt", "dist/out", "kiln.lock", "kiln.hcl", "sub/kiln.lock", "vendor/in"}
	var readNone []string
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string, git func(...string))
		reads  []string
		want   bool
	}{
		"clean": {func(*testing.T, string, func(...string)) {}, readAll, false},
		"tracked file changed": {func(t *testing.T, dir string, _ func(...string)) {
			put(t, filepath.Join(dir, "kiln.hcl"), "project = \"y\"\n")
		}, readNone, true},
		"tracked file deleted": {func(t *testing.T, dir string, _ func(...string)) {
			os.Remove(filepath.Join(dir, "kiln.hcl"))
		}, readNone, true},
		"untracked and read": {func(t *testing.T, dir string, _ func(...string)) {
			put(t, filepath.Join(dir, "new.txt"), "x")
		}, readAll, true},
		"untracked and not read": {func(t *testing.T, dir string, _ func(...string)) {
			put(t, filepath.Join(dir, "new.txt"), "x")
		}, readNone, false},
		"ignored": {func(t *testing.T, dir string, _ func(...string)) {
			put(t, filepath.Join(dir, "dist", "out"), "x")
		}, readAll, false},
		"outside the template's folder": {func(t *testing.T, dir string, _ func(...string)) {
			put(t, filepath.Join(dir, "..", "elsewhere.txt"), "two")
		}, readAll, false},
		"a lock that HEAD does not have": {func(t *testing.T, dir string, _ func(...string)) {
			put(t, filepath.Join(dir, "kiln.lock"), "x")
		}, readAll, false},
		"such a lock, staged": {func(t *testing.T, dir string, git func(...string)) {
			put(t, filepath.Join(dir, "kiln.lock"), "x")
			git("add", "-A")
		}, readAll, false},
		"the lock of another folder": {func(t *testing.T, dir string, _ func(...string)) {
			put(t, filepath.Join(dir, "sub", "kiln.lock"), "x")
		}, readAll, true},
		"a repository inside": {func(t *testing.T, dir string, git func(...string)) {
			put(t, filepath.Join(dir, "vendor", "in"), "x")
			git("init", "-q", filepath.Join(dir, "vendor"))
		}, readAll, true},
		"a repository inside that is not read": {func(t *testing.T, dir string, git func(...string)) {
			put(t, filepath.Join(dir, "vendor", "other"), "x")
			git("init", "-q", filepath.Join(dir, "vendor"))
		}, readNone, false},
		"a changed tracked lock": {func(t *testing.T, dir string, git func(...string)) {
			put(t, filepath.Join(dir, "kiln.lock"), "x")
			git("add", "-A")
			git("commit", "-q", "-m", "lock")
			put(t, filepath.Join(dir, "kiln.lock"), "y")
		}, readNone, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir, git := repository(t)
			c.change(t, dir, git)
			var reads []string
			for _, r := range c.reads {
				reads = append(reads, filepath.Join(dir, r))
			}
			rev := ReadRevision(context.Background(), dir, reads)
			if rev.Dirty != c.want || len(rev.Commit) != 40 {
				t.Errorf("%+v, want dirty %t", rev, c.want)
			}
		})
	}
}

// A checkout must not make git run its programs, nor the environment make it
// look at another repository.
func TestHostileRepository(t *testing.T) {
	dir, git := repository(t)
	other, _ := repository(t)
	put(t, filepath.Join(dir, "kiln.hcl"), "project = \"changed\"\n")
	trap := filepath.Join(t.TempDir(), "sprung")
	git("config", "core.fsmonitor", "touch "+trap+"; false")
	t.Setenv("GIT_DIR", filepath.Join(other, "..", ".git"))
	t.Setenv("GIT_WORK_TREE", filepath.Dir(other))
	if rev := ReadRevision(context.Background(), dir, nil); !rev.Dirty {
		t.Errorf("%+v: another repository was asked", rev)
	}
	if _, err := os.Stat(trap); err == nil {
		t.Error("core.fsmonitor was executed")
	}
}

func TestNoGit(t *testing.T) {
	rev := ReadRevision(context.Background(), t.TempDir(), nil)
	if rev.Commit != "" || !rev.Dirty || rev.Short() != NoCommit {
		t.Errorf("%+v", rev)
	}
}

func TestNoGitSaysWhy(t *testing.T) {
	dir, _ := repository(t)
	if err := os.Chown(filepath.Join(dir, "..", ".git"), 1234, 1234); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(dir, ".."), 1234, 1234); err != nil {
		t.Fatal(err)
	}
	rev := ReadRevision(context.Background(), dir, nil)
	if !rev.Dirty || !strings.Contains(rev.Problem, "safe.directory") {
		t.Errorf("a repository of another user: %+v", rev)
	}
	t.Setenv("PATH", t.TempDir())
	if rev := ReadRevision(context.Background(), dir, nil); !rev.Dirty || rev.Problem != "git is not installed" {
		t.Errorf("without git: %+v", rev)
	}
}

func TestWithoutCredentials(t *testing.T) {
	for in, want := range map[string]string{
		"https://user:secret@git.example.com/a/b.git": "https://git.example.com/a/b.git",
		"https://git.example.com/a/b.git":             "https://git.example.com/a/b.git",
		"git@git.example.com:a/b.git":                 "git@git.example.com:a/b.git",
		"ssh://u@git.example.com/a@b":                 "ssh://git.example.com/a@b",
	} {
		if got := withoutCredentials(in); got != want {
			t.Errorf("withoutCredentials(%q) = %q, want %q", in, got, want)
		}
	}
}
