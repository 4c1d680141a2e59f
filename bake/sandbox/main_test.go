package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The roots of these tests hold one static program: testdata/guest.
var guest string

func TestMain(m *testing.M) {
	Init()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "helper-") {
		return helper(os.Args[1:])
	}
	dir, err := os.MkdirTemp("", "sandbox-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	guest = filepath.Join(dir, "guest")
	if built := os.Getenv("KILN_TEST_GUEST"); built != "" {
		if content, err := os.ReadFile(built); err != nil || os.WriteFile(guest, content, 0o755) != nil {
			fmt.Fprintln(os.Stderr, "copy guest:", err)
			return 1
		}
		return m.Run()
	}
	build := exec.Command("go", "build", "-o", guest, "./testdata/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build guest: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// tree makes a directory with the guest in it and the given files; names that
// end in "/" are directories.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "bin/", "")
	if err := os.Link(guest, filepath.Join(dir, "bin/guest")); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		put(t, dir, name, content)
	}
	return dir
}

func put(t testing.TB, dir, name, content string) {
	t.Helper()
	full := filepath.Join(dir, name)
	if strings.HasSuffix(name, "/") {
		if err := os.MkdirAll(full, 0o755); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// writable is a root with an empty upper over the lowers.
func writable(t testing.TB, lowers ...string) Root {
	t.Helper()
	base := t.TempDir()
	put(t, base, "upper/", "")
	put(t, base, "work/", "")
	return Root{Lowers: lowers, Upper: filepath.Join(base, "upper"), Work: filepath.Join(base, "work"), Copy: copies()}
}

// result is what a run left behind.
type result struct {
	stdout, stderr string
	err            error
}

// run runs guest commands with what spec says.
func runGuest(t testing.TB, spec Spec, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	spec.Args = append([]string{"/bin/guest"}, args...)
	spec.Stdout, spec.Stderr = &stdout, &stderr
	if spec.Timeout == 0 {
		spec.Timeout = 20 * time.Second
	}
	err := Run(context.Background(), spec)
	return result{stdout.String(), stderr.String(), err}
}

// output is runGuest for commands that must succeed.
func output(t testing.TB, spec Spec, args ...string) string {
	t.Helper()
	r := runGuest(t, spec, args...)
	if r.err != nil {
		t.Fatalf("%v: %v\n%s", args, r.err, r.stderr)
	}
	return r.stdout
}

func exitError(t testing.TB, err error) *ExitError {
	t.Helper()
	var e *ExitError
	if !errors.As(err, &e) {
		t.Fatalf("error is %T %v, want *ExitError", err, err)
	}
	return e
}

// names lists everything below dir.
func names(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if path != dir {
			rel, _ := filepath.Rel(dir, path)
			all = append(all, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func same(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}
