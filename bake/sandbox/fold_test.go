package sandbox

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"kiln/layers"
)

// copies: the tests run once more with copies in place of overlays.
func copies() bool { return os.Getenv("KILN_TEST_COPY") != "" }

// What holds for overlays holds for copies.
func TestCopied(t *testing.T) {
	if copies() {
		return
	}
	names := []string{
		"TestUpperStaysEmpty", "TestUpperReceivesWrites", "TestReadOnlyRoot", "TestManyLowers", "TestOpaque", "TestEnds",
		"TestNothingOutsideIsReached", "TestOwnMountPointsMustBeDirectories", "TestHostResolver", "TestMounts", "TestParallelRuns",
	}
	cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run=^("+strings.Join(names, "|")+")$")
	cmd.Env = append(os.Environ(), "KILN_TEST_COPY=1", "KILN_TEST_GUEST="+guest)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range names {
		if !strings.Contains(string(out), "--- PASS: "+name+" ") {
			t.Errorf("%s did not pass:\n%s", name, out)
		}
	}
}

// Where overlayfs refuses a place, as it does one that lies on an overlay, the
// layers are copied.
func TestOverlayRefused(t *testing.T) {
	merged, unmount := overlaid(t)
	defer unmount()
	put(t, merged, "upper/", "")
	put(t, merged, "work/", "")
	root := Root{Lowers: []string{tree(t, map[string]string{"old": "old", "gone": ""})}, Upper: merged + "/upper", Work: merged + "/work"}
	same(t, "output", output(t, Spec{Root: root}, "cat", "/old", ";", "rm", "/gone", ";", "write", "/new", "x"), "old")
	same(t, "upper", strings.Join(names(t, root.Upper), " "), "gone new")
	if left := names(t, root.Work); len(left) > 0 {
		t.Errorf("the work folder holds %v", left)
	}
	root.Work = ""
	root.ReadOnly = true
	if r := runGuest(t, Spec{Root: root}, "cat", "/old"); r.err != nil {
		t.Errorf("to read an overlay needs no place: %v", r.err)
	}
}

// overlaid is a folder on an overlay, where no further one can write.
func overlaid(t *testing.T) (merged string, unmount func()) {
	t.Helper()
	root := writable(t, tree(t, nil))
	merged = t.TempDir()
	options := "lowerdir=" + root.Lowers[0] + ",upperdir=" + root.Upper + ",workdir=" + root.Work
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	return merged, func() { unix.Unmount(merged, unix.MNT_DETACH) }
}

// A copy is not begun, or ended, when it would take the disk's last bytes.
func TestCopyOnAFullDisk(t *testing.T) {
	root := writable(t, tree(t, map[string]string{"big": strings.Repeat("x", 40<<20)}))
	root.Copy = true
	spec := Spec{Root: root, Limits: Limits{MinFreeBytes: 1 << 60}}
	r := runGuest(t, spec, "true")
	if r.err == nil || !strings.Contains(r.err.Error(), "copy root: no space left on device: the disk of") {
		t.Errorf("error is %v", r.err)
	}
	if left := names(t, root.Work); len(left) > 0 {
		t.Errorf("the work folder holds %v", left)
	}
}

// TestFold: whatever is done to a root, an overlay and a copy give the same
// layer, also when further commands go on with the same upper.
func TestFold(t *testing.T) {
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set("40"); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "case")
		must(rt, err)
		var lowers []string
		for n := range rapid.IntRange(1, 3).Draw(rt, "layers") {
			stack := newStack(rt, filepath.Join(dir, fmt.Sprint(n)), lowers)
			ops := drawOps(rt, 8)
			stack.onOverlay(rt, ops)
			lowers = append(lowers, stack.upper)
		}
		a, b := newStack(rt, filepath.Join(dir, "overlay"), lowers), newStack(rt, filepath.Join(dir, "copy"), lowers)
		for range rapid.IntRange(1, 3).Draw(rt, "commands") {
			ops := drawOps(rt, 10)
			a.onOverlay(rt, ops)
			b.onCopy(rt, ops)
			if got, want := b.layer(rt), a.layer(rt); got != want {
				rt.Fatalf("%v\nthe copy gives\n%sthe overlay\n%s", ops, got, want)
			}
		}
	})
}

type failer interface{ Fatal(args ...any) }

func must(t failer, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

// stack is a root made of lowers and an upper.
type stack struct {
	dir, upper string
	lowers     []string
}

func newStack(t failer, dir string, lowers []string) *stack {
	s := &stack{dir: dir, upper: dir + "/upper", lowers: lowers}
	if len(lowers) == 0 {
		s.lowers = []string{dir + "/none"}
	}
	for _, d := range []string{"", "/none", "/upper", "/work", "/merged"} {
		must(t, os.Mkdir(dir+d, 0o755))
	}
	return s
}

func (s *stack) onOverlay(t failer, ops []op) {
	var names []string
	for i := len(s.lowers) - 1; i >= 0; i-- {
		names = append(names, s.lowers[i])
	}
	options := "lowerdir=" + strings.Join(names, ":") + ",upperdir=" + s.upper + ",workdir=" + s.dir + "/work,index=off,xino=off,metacopy=off,redirect_dir=nofollow"
	must(t, unix.Mount("overlay", s.dir+"/merged", "overlay", 0, options))
	for _, o := range ops {
		o.do(s.dir + "/merged")
	}
	must(t, unix.Unmount(s.dir+"/merged", 0))
}

func (s *stack) onCopy(t failer, ops []op) {
	root := s.dir + "/merged"
	flat, err := flatten(context.Background(), Root{Lowers: s.lowers, Upper: s.upper}, root, 0)
	must(t, err)
	time.Sleep(clockTick)
	for _, o := range ops {
		o.do(root)
	}
	must(t, flat.fold(s.upper, false))
	must(t, os.RemoveAll(root))
	must(t, os.Mkdir(root, 0o755))
}

// layer describes the entries of the layer, with the content of files.
func (s *stack) layer(t failer) string {
	entries, err := layers.Diff(s.upper, s.lowers, layers.TreeOptions{})
	must(t, err)
	var out strings.Builder
	for _, e := range entries {
		content := ""
		if e.Open != nil {
			r, err := e.Open()
			must(t, err)
			all, err := io.ReadAll(r)
			must(t, err)
			r.Close()
			content = string(all)
		}
		fmt.Fprintf(&out, "%s %c %o %d:%d %q %v %q\n", e.Path, e.Type, e.Mode, e.UID, e.GID, e.Link, e.Xattrs, content)
	}
	return out.String()
}

// op is one change to a root.
type op struct {
	what       string
	path, from string
	value      int
}

func drawOps(rt *rapid.T, most int) []op {
	name := rapid.SampledFrom([]string{"a", "b", "c", "a-b"})
	draw := func(label string) string {
		p := ""
		for range rapid.IntRange(1, 3).Draw(rt, label+" depth") {
			p += "/" + name.Draw(rt, label)
		}
		return p
	}
	what := rapid.SampledFrom([]string{"write", "write", "append", "mkdir", "mkdir", "symlink", "link", "remove", "empty", "chmod", "chown", "xattr", "caps", "rename"})
	var ops []op
	for range rapid.IntRange(1, most).Draw(rt, "ops") {
		ops = append(ops, op{what.Draw(rt, "what"), draw("path"), draw("from"), rapid.IntRange(0, 2).Draw(rt, "value")})
	}
	return ops
}

// do makes the change; what does not apply is left undone. Folders are not
// renamed: on an overlay that fails, and programs copy them instead.
func (o op) do(root string) {
	p, from := root+o.path, root+o.from
	info, err := os.Lstat(p)
	plain := err == nil && info.Mode().IsRegular()
	switch o.what {
	case "write":
		os.WriteFile(p, []byte(strings.Repeat("x", o.value)), 0o644)
	case "append": // in place, and the same length as before
		if f, err := os.OpenFile(p, os.O_RDWR, 0); err == nil {
			f.WriteAt([]byte(fmt.Sprint(o.value)), 0)
			f.Close()
		}
	case "mkdir":
		os.MkdirAll(p, 0o755)
	case "symlink":
		os.Symlink([]string{"a", "../b", "nowhere"}[o.value], p)
	case "link":
		if i, err := os.Lstat(from); err == nil && i.Mode().IsRegular() {
			os.Link(from, p)
		}
	case "remove":
		os.RemoveAll(p)
	case "empty": // everything in it, but not the folder itself
		list, _ := os.ReadDir(p)
		for _, e := range list {
			os.RemoveAll(filepath.Join(p, e.Name()))
		}
	case "chmod":
		if err == nil && info.Mode()&os.ModeSymlink == 0 {
			unix.Chmod(p, []uint32{0o755, 0o4755, 0o1777}[o.value])
		}
	case "chown":
		os.Lchown(p, o.value, 0)
	case "xattr":
		unix.Lsetxattr(p, "user.note", []byte(fmt.Sprint(o.value)), 0)
	case "caps":
		if plain {
			unix.Lsetxattr(p, "security.capability", []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0)
		}
	case "rename":
		if i, err := os.Lstat(from); err == nil && !i.IsDir() {
			os.Rename(from, p)
		}
	}
}
