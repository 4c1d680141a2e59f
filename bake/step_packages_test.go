//go:build full

package bake

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHostileScripts: what maintainer scripts run in holds those that fork
// without end, fill the disk, leave processes behind or write outside: in an
// empty tree, on a parent, and on a copy of one (FAULTS 28).
func TestHostileScripts(t *testing.T) {
	helper := filepath.Join(t.TempDir(), "helper")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", helper, "../cmd/kiln/testdata/helper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	token := "script-of-" + filepath.Base(filepath.Dir(outside)) + "-" + filepath.Base(t.TempDir())
	for name, c := range map[string]struct{ parent, copies bool }{
		"a base": {}, "on a parent": {parent: true}, "on a copied parent": {parent: true, copies: true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, attack := range []struct {
				do   []string
				want string
			}{
				{[]string{"bomb", token}, `more than 4096 processes`},
				{[]string{"fill", "/big", token}, `must stay free|exit status 1`},
				{[]string{"leave", token}, ``},
				{[]string{"outside", token, outside, "/.." + outside, "/proc/1/root" + outside, "/proc/sysrq-trigger"}, ``},
			} {
				tree := hostileTree(t, helper, c.parent, c.copies)
				var out bytes.Buffer
				err := tree.Run(context.Background(), append([]string{"/helper"}, attack.do...), nil, strings.NewReader(""), &out)
				if attack.want == "" && err != nil || attack.want != "" && (err == nil || !regexp.MustCompile(attack.want).MatchString(err.Error())) {
					t.Errorf("%s: %v, want %q\n%s", attack.do[0], err, attack.want, &out)
				}
				lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
				for _, file := range lines {
					if line, _ := os.ReadFile(file); bytes.Contains(line, []byte(token)) {
						t.Errorf("%s left %s: %q", attack.do[0], file, line)
					}
				}
				if left, _ := os.ReadDir(filepath.Join(tree.work, "copy")); len(left) > 0 {
					t.Errorf("%s left a copy of the root", attack.do[0])
				}
			}
		})
	}
	if _, err := os.Lstat(outside); err == nil {
		t.Error("something was written outside")
	}
}

// hostileTree is a tree under construction, on a disk of its own with little
// room.
func hostileTree(t *testing.T, helper string, parent, copies bool) installTree {
	t.Helper()
	dir, cache := t.TempDir(), t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	opened, err := OpenCache(cache)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewBuilder(BuilderOptions{Cache: opened, NoOverlay: copies})
	if err != nil {
		t.Fatal(err)
	}
	tree := installTree{b: b, upper: dir + "/upper", work: dir + "/work"}
	below := tree.upper
	if parent {
		below = dir + "/lower"
		tree.lowers = []string{below}
	}
	if err := makeDirs(tree.upper, tree.work, below); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(helper)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(below+"/helper", program, 0o755); err != nil {
		t.Fatal(err)
	}
	return tree
}
