package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What the sandbox needs for itself leaves no trace, with or without the mount
// points in the root, in each way of making a root.
func TestUpperStaysEmpty(t *testing.T) {
	full := map[string]string{"proc/": "", "dev/": "", "sys/": "", "tmp/": "", "run/": "", "etc/resolv.conf": ""}
	for name, files := range map[string]map[string]string{"bare": nil, "full": full} {
		t.Run(name, func(t *testing.T) {
			root := writable(t, tree(t, files))
			spec := Spec{
				Root: root, Network: NetworkHost, Tmpfs: []string{"/tmp", "/run"},
				Mounts: []Mount{{Source: t.TempDir(), Target: "/mnt/deep/in"}, {Source: guest, Target: "/run/x/guest"}},
			}
			output(t, spec, "true")
			if got := names(t, root.Upper); len(got) > 0 {
				t.Errorf("the upper holds %v", got)
			}
		})
	}
}

func TestBindRootIsCleanedUp(t *testing.T) {
	dir := tree(t, map[string]string{"proc/": ""})
	before := names(t, dir)
	spec := Spec{Root: Root{Upper: dir}, Tmpfs: []string{"/var/tmp"}, Network: NetworkHost}
	output(t, spec, "write", "/made", "x", ";", "cat", "/proc/self/status", ";", "write", "/var/tmp/gone", "x")
	same(t, "tree", fmt.Sprint(names(t, dir)), fmt.Sprint(append(before[:2:2], "made", "proc")))
}

func TestUpperReceivesWrites(t *testing.T) {
	root := writable(t, tree(t, map[string]string{"etc/old": "old", "etc/gone": "", "proc/": "", "dev/": ""}))
	output(t, Spec{Root: root}, "write", "/etc/old", "new", ";", "rm", "/etc/gone", ";", "write", "/srv/a", "b")
	same(t, "upper", strings.Join(names(t, root.Upper), " "), "etc etc/gone etc/old srv srv/a")
	if content, _ := os.ReadFile(filepath.Join(root.Upper, "etc/old")); string(content) != "new" {
		t.Errorf("etc/old holds %q", content)
	}
	// The same upper serves the next command.
	same(t, "second run", output(t, Spec{Root: root}, "cat", "/etc/old", ";", "ls", "/etc"), "newold\n")
	root.ReadOnly = true
	same(t, "as a layer", output(t, Spec{Root: root}, "cat", "/srv/a"), "b")
}

func TestReadOnlyRoot(t *testing.T) {
	lower, upper := tree(t, map[string]string{"tmp/": ""}), writable(t)
	roots := map[string]Root{
		"one lower": {Lowers: []string{lower}}, "two lowers": {Lowers: []string{t.TempDir(), lower}},
		"bind": {Upper: lower, ReadOnly: true}, "overlay": {Lowers: []string{lower}, Upper: upper.Upper, Work: upper.Work, ReadOnly: true},
	}
	for name, root := range roots {
		t.Run(name, func(t *testing.T) {
			got := output(t, Spec{Root: root, Tmpfs: []string{"/tmp"}}, "try", "write", "/x", ";", "try", "write", "/bin/guest", ";", "try", "write", "/tmp/x")
			same(t, "writes", got, "write: open /x: read-only file system\nwrite: open /bin/guest: read-only file system\nwrite: ok\n")
			if got := names(t, lower); !slices.Equal(got, []string{"bin", "bin/guest", "tmp"}) {
				t.Errorf("the lower changed: %v", got)
			}
		})
	}
}

func TestManyLowers(t *testing.T) {
	base := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	lowers := []string{tree(t, nil)}
	for i := range 150 {
		dir := filepath.Join(base, fmt.Sprintf("sha256:%064d", i))
		put(t, dir, fmt.Sprintf("layers/%03d", i), "")
		put(t, dir, "top", fmt.Sprint(i))
		lowers = append(lowers, dir)
	}
	got := output(t, Spec{Root: writable(t, lowers...)}, "ls", "/layers", ";", "cat", "/top")
	if n := strings.Count(got, "\n"); n != 150 || !strings.HasSuffix(got, "149") {
		t.Errorf("saw %d layers, the topmost %q", n, got[len(got)-3:])
	}
}

func TestNothingOutsideIsReached(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	put(t, filepath.Dir(outside), "secret", "x")
	lower := tree(t, nil)
	for link, target := range map[string]string{"link": outside, "mnt": "../../../../.."} {
		if err := os.Symlink(target, filepath.Join(lower, link)); err != nil {
			t.Fatal(err)
		}
	}
	root := writable(t, lower)
	r := runGuest(t, Spec{Root: root, Mounts: []Mount{{Source: lower, Target: "/mnt/tmp/deep"}}},
		"try", "read", outside, ";", "try", "read", "/link", ";", "try", "read", "/../../.."+outside, ";", "try", "read", "/tmp/deep/bin/guest")
	if r.err != nil {
		t.Fatal(r.err, r.stderr)
	}
	if strings.Count(r.stdout, "no such file") != 3 || !strings.HasSuffix(r.stdout, "read: ok\n") {
		t.Errorf("reads:\n%s", r.stdout)
	}
	if got := names(t, root.Upper); len(got) > 0 {
		t.Errorf("the upper holds %v", got)
	}
}

func TestOwnMountPointsMustBeDirectories(t *testing.T) {
	for _, name := range []string{"proc", "dev"} {
		lower := tree(t, nil)
		if err := os.Symlink("/bin", filepath.Join(lower, name)); err != nil {
			t.Fatal(err)
		}
		r := runGuest(t, Spec{Root: writable(t, lower)}, "true")
		if r.err == nil || !strings.HasSuffix(r.err.Error(), "/"+name+" of the root is not a directory") {
			t.Errorf("error is %v", r.err)
		}
	}
}

// A resolv.conf that points to nowhere, as systemd-resolved leaves it, is hidden
// by the host's and not followed.
func TestHostResolver(t *testing.T) {
	lower := tree(t, map[string]string{"etc/": ""})
	if err := os.Symlink("../run/systemd/resolve/stub-resolv.conf", filepath.Join(lower, "etc/resolv.conf")); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	root := writable(t, lower)
	spec := Spec{Root: root, Network: NetworkHost}
	same(t, "resolv.conf", output(t, spec, "cat", "/etc/resolv.conf"), string(want))
	r := runGuest(t, spec, "try", "write", "/etc/resolv.conf")
	if r.err != nil {
		t.Fatal(r.err, r.stderr)
	}
	same(t, "write", r.stdout, "write: open /etc/resolv.conf: read-only file system\n")
	if got := names(t, root.Upper); len(got) > 0 {
		t.Errorf("the upper holds %v", got)
	}
}

func TestMounts(t *testing.T) {
	source := t.TempDir()
	put(t, source, "in", "in")
	spec := Spec{Root: writable(t, tree(t, nil)), Tmpfs: []string{"/tmp"}, Mounts: []Mount{
		{Source: source, Target: "/ro", ReadOnly: true}, {Source: source, Target: "/rw"}, {Target: "/scratch", Type: "tmpfs"},
		{Source: filepath.Join(source, "in"), Target: "/tmp/a/b", ReadOnly: true},
	}}
	got := output(t, spec, "try", "write", "/ro/x", ";", "try", "write", "/rw/y", ";", "try", "write", "/scratch/z", ";", "cat", "/tmp/a/b")
	same(t, "writes", got, "write: open /ro/x: read-only file system\nwrite: ok\nwrite: ok\nin")
	same(t, "source", strings.Join(names(t, source), " "), "in y")
}

func TestBadRoots(t *testing.T) {
	dir := tree(t, nil)
	for name, c := range map[string]struct {
		root Root
		want string
	}{
		"empty":      {Root{}, "neither lowers nor an upper"},
		"no work":    {Root{Lowers: []string{dir}, Upper: dir}, "needs a work directory"},
		"missing":    {Root{Lowers: []string{dir, "/does/not/exist"}}, "stat /does/not/exist: no such file or directory"},
		"not a dir":  {Root{Lowers: []string{dir, filepath.Join(dir, "bin/guest")}}, "is not a directory"},
		"bad target": {Root{Lowers: []string{dir}}, "mount point /bin/guest/x: not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := Spec{Root: c.root}
			if name == "bad target" {
				spec.Tmpfs = []string{"/bin/guest/x"}
			}
			r := runGuest(t, spec, "true")
			if r.err == nil || !strings.Contains(r.err.Error(), c.want) {
				t.Errorf("error is %v, want …%s…", r.err, c.want)
			}
		})
	}
}
