package sandbox

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mapping is what an unprivileged user with subordinate ids would have.
func mapping() Mapping {
	return Mapping{UID: 12345, GID: 12345, SubUID: 100000, SubGID: 100000, Count: 65536}
}

// shared is a directory that any user may use.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sandbox-shared-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// inNamespace runs tests of this package again as root of a user namespace.
func inNamespace(t *testing.T, pattern string, skip string) string {
	t.Helper()
	tmp := shared(t)
	var out bytes.Buffer
	exit, err := UnshareMapped(context.Background(), Command{
		Args: []string{os.Args[0], "-test.run=" + pattern, "-test.skip=" + skip, "-test.v"},
		Env:  append(os.Environ(), "TMPDIR="+tmp, "KILN_TEST_GUEST="+guest), Stdout: &out, Stderr: &out,
	}, mapping())
	if err != nil {
		t.Fatal(err)
	}
	if exit != 0 {
		t.Fatalf("exit status %d:\n%s", exit, out.String())
	}
	return out.String()
}

// The whole sandbox works in a user namespace: the same tests pass there.
func TestRootless(t *testing.T) {
	if InUserNamespace() {
		return // already inside
	}
	out := inNamespace(t, ".", "^(TestRootless|TestUnshare.*|TestMappedIDs|TestCheck|TestNewuidmap.*|TestOverlayRefused|TestFold)$")
	for _, name := range []string{"TestUpperStaysEmpty", "TestManyLowers", "TestSelf", "TestForbidden", "TestDial", "TestEnds", "TestOpaque", "TestCopied"} {
		if !strings.Contains(out, "--- PASS: "+name+" ") {
			t.Errorf("%s did not pass inside:\n%s", name, out)
		}
	}
}

// Deleting and recreating a directory of a lower marks it opaque, in the
// attribute that the place allows.
func TestOpaque(t *testing.T) {
	root := writable(t, tree(t, map[string]string{"srv/a": "", "srv/b": ""}))
	output(t, Spec{Root: root}, "rm", "/srv", ";", "write", "/srv/c", "c")
	same(t, "srv", output(t, Spec{Root: root}, "ls", "/srv"), "c\n")
	name, value := "trusted.overlay.opaque", make([]byte, 1)
	if InUserNamespace() {
		name = "user.overlay.opaque"
	}
	if _, err := syscall.Getxattr(filepath.Join(root.Upper, "srv"), name, value); err != nil || string(value) != "y" {
		t.Errorf("%s: %v %q", name, err, value)
	}
	root.ReadOnly = true
	same(t, "as a layer", output(t, Spec{Root: root}, "ls", "/srv"), "c\n")
}

// Files that inside belong to some id belong outside to what it is mapped to.
func TestMappedIDs(t *testing.T) {
	dir := shared(t)
	var out bytes.Buffer
	exit, err := UnshareMapped(context.Background(), Command{
		Args: []string{os.Args[0], "helper-chown", filepath.Join(dir, "file")}, Env: os.Environ(), Stdout: &out, Stderr: &out,
	}, mapping())
	if err != nil || exit != 0 {
		t.Fatalf("%v, exit status %d: %s", err, exit, out.String())
	}
	st, err := os.Stat(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	if sys := st.Sys().(*syscall.Stat_t); sys.Uid != 100032 || sys.Gid != 100032 {
		t.Errorf("the file belongs to %d:%d, want 100032:100032", sys.Uid, sys.Gid)
	}
	same(t, "root file", out.String(), "read /etc/shadow: permission denied\n")
}

func TestUnshareMappedNeedsAllIDs(t *testing.T) {
	m := mapping()
	m.Count = 1000
	if _, err := UnshareMapped(context.Background(), Command{Args: []string{"x"}}, m); err == nil {
		t.Error("a short mapping was taken")
	}
}

func TestUnshareExit(t *testing.T) {
	for _, want := range []string{"7", "143"} {
		exit, err := UnshareMapped(context.Background(), Command{Args: []string{os.Args[0], "helper-exit", want}, Env: os.Environ()}, mapping())
		if err != nil || exit != map[string]int{"7": 7, "143": 143}[want] {
			t.Errorf("exit is %d, %v, want %s", exit, err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(200*time.Millisecond, cancel)
	exit, err := UnshareMapped(ctx, Command{Args: []string{os.Args[0], "helper-sleep"}, Env: os.Environ()}, mapping())
	if exit != 143 && !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled one gives %d, %v", exit, err)
	}
}

// kill -9 of the outer process ends the inner one.
func TestUnshareDiesWithParent(t *testing.T) {
	file := filepath.Join(shared(t), "beat")
	cmd := exec.Command("/proc/self/exe", "helper-outer", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the inner process", func() bool { _, err := os.Stat(file); return err == nil })
	cmd.Process.Kill()
	cmd.Wait()
	waitFor(t, "its end", func() bool {
		before, _ := os.ReadFile(file)
		time.Sleep(100 * time.Millisecond)
		after, _ := os.ReadFile(file)
		return bytes.Equal(before, after) && len(after) > 0
	})
}

func TestSubordinateIDs(t *testing.T) {
	content := "other:100000:65536\nme:200000:65536\n1000:300000:10\nme:broken\nme:1:x\n\nme:0:5\n"
	got := parseSubIDs(content, []string{"me", "1000"})
	if !slices.Equal(got, []idRange{{200000, 65536}, {300000, 10}}) {
		t.Errorf("ranges are %v", got)
	}
	file := filepath.Join(t.TempDir(), "subuid")
	var hint *HintError
	if _, err := idMap(file, 1000, []string{"me"}); !errors.As(err, &hint) || !strings.Contains(hint.Hint, "usermod --add-subuids") {
		t.Errorf("without a file the error is %v", err)
	}
	put(t, filepath.Dir(file), "subuid", "me:200000:40000\nme:300000:40000\n")
	args, err := idMap(file, 1000, []string{"me"})
	if want := "0 1000 1 1 200000 40000 40001 300000 40000"; err != nil || strings.Join(args, " ") != want {
		t.Errorf("map is %v, %v, want %s", args, err, want)
	}
}
