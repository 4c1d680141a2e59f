package sandbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	found := map[string]Finding{}
	for _, f := range Check(context.Background(), dir, filepath.Join(dir, "not/yet")) {
		found[f.Name] = f
		if f.Fatal && f.OK || !f.OK && f.Hint == "" {
			t.Errorf("finding %+v", f)
		}
		if f.Fatal {
			t.Errorf("this machine cannot bake: %+v", f)
		}
	}
	for _, name := range []string{"kernel", "seccomp", "sandbox", "overlay", "user namespaces"} {
		if !found[name].OK {
			t.Errorf("%s: %+v", name, found[name])
		}
	}
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("the check left %v", left)
	}
}

// A place that overlayfs cannot write to is found out and explained.
func TestCheckUnfitDirectory(t *testing.T) {
	f := checkRun(context.Background(), "/proc", true)[0]
	if f.OK || !f.Fatal || f.Hint == "" {
		t.Errorf("finding %+v", f)
	}
	root := writable(t, tree(t, nil))
	merged := t.TempDir()
	options := "lowerdir=" + root.Lowers[0] + ",upperdir=" + root.Upper + ",workdir=" + root.Work
	if InUserNamespace() {
		options += ",userxattr"
	}
	err := unix.Mount("overlay", merged, "overlay", 0, options)
	if errors.Is(err, unix.EPERM) && InUserNamespace() {
		return // the tests run without a mount namespace of their own there
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(merged, unix.MNT_DETACH)
	all := checkRun(context.Background(), merged, true)
	if len(all) != 2 || !all[0].OK || all[1].OK || all[1].Fatal || !strings.Contains(all[1].Hint, "volume") || !strings.Contains(all[1].Detail, "copied") {
		t.Errorf("on an overlay: %+v", all)
	}
	if left := names(t, merged); len(left) > 2 {
		t.Errorf("the check left %v", left)
	}
}

func TestHints(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("the tests of this package need root")
	}
	for want, err := range map[string]error{
		"docker run --privileged": &SetupError{Step: "start", Err: unix.EPERM},
		"modprobe overlay":        &SetupError{Step: "mount root", Err: unix.ENODEV},
		"apt-get install uidmap":  &HintError{Err: unix.ENOENT, Hint: "as root: apt-get install uidmap"},
		"local file system":       unix.EINVAL,
	} {
		if got := hintRun(t.TempDir(), err); !strings.Contains(got, want) {
			t.Errorf("hint for %v is %q, want …%s…", err, got, want)
		}
	}
}
