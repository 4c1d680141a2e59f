//go:build full

package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kiln/bake/sandbox"
)

// emulate makes this host run the programs of another architecture while the
// test lasts, if it does not already: qemu-user-static, which testdata/tools.sh
// installs, in binfmt_misc. It needs root. The answer is the architecture.
func emulate(t *testing.T) string {
	t.Helper()
	arch, qemu := "arm64", "aarch64"
	if runtime.GOARCH == arch {
		arch, qemu = "amd64", "x86_64"
	}
	if sandbox.Runs(arch) == nil {
		return arch
	}
	const dir = "/proc/sys/fs/binfmt_misc"
	if _, err := os.Stat(filepath.Join(dir, "register")); errors.Is(err, os.ErrNotExist) {
		if err := unix.Mount("binfmt_misc", dir, "binfmt_misc", 0, ""); err != nil {
			t.Fatalf("mount binfmt_misc: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	}
	rule, err := os.ReadFile("/usr/lib/binfmt.d/qemu-" + qemu + ".conf")
	if err != nil {
		t.Fatalf("%v (testdata/tools.sh installs it)", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "register"), []byte(strings.TrimSpace(string(rule))), 0o200); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(filepath.Join(dir, "qemu-"+qemu), []byte("-1"), 0o200) })
	if err := sandbox.Runs(arch); err != nil {
		t.Fatal(err)
	}
	return arch
}

const foreignTemplate = `project = "acme"
image "app" {
  tier      = "base"
  platforms = ["linux/ARCH", "linux/HOST"]
  copy {
    source = "helper-${platform.arch}"
    target = "/helper"
    mode   = "0755"
  }
  run { command = ["/helper", "write", "/out", "made on ${platform.arch}"] }
  test "reads" {
    command = ["/helper", "read", "/out"]
    stdout  = "made on ${platform.arch}"
  }
}
`

// Steps and tests of a foreign platform run where binfmt_misc has an emulator,
// and what comes of them is the same as without a cache.
func TestForeignPlatformRuns(t *testing.T) {
	w := newWorld(t)
	arch := emulate(t)
	dir := w.mkdir("app")
	for _, a := range []string{arch, runtime.GOARCH} {
		build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "helper-"+a), "./testdata/helper")
		build.Env = append(os.Environ(), "GOARCH="+a, "CGO_ENABLED=0")
		w.must(build)
	}
	text := strings.NewReplacer("ARCH", arch, "HOST", runtime.GOARCH).Replace(foreignTemplate)
	if err := os.WriteFile(filepath.Join(dir, "kiln.hcl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var digests []string
	for _, cache := range []string{"one", "two"} {
		out := w.must(w.command([]string{"KILN_CACHE=" + w.mkdir(cache), "KILN_STORE=" + w.path("store-"+cache)}, "bake", "app", "--json"))
		var report bakeReport
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatal(err)
		}
		made := map[string]bool{}
		for _, l := range report.Images[0].Layers {
			if strings.HasPrefix(l.Step, "run ") {
				made[l.Platform] = true
			}
		}
		if !made["linux/"+arch] || !made["linux/"+runtime.GOARCH] {
			t.Errorf("steps ran on %v", made)
		}
		digests = append(digests, string(report.Images[0].Digest))
	}
	if digests[0] != digests[1] {
		t.Errorf("two bakes give %s", digests)
	}
	if strings.Contains(string(w.run("doctor")), "linux/"+arch) == false {
		t.Errorf("doctor does not say that linux/%s runs", arch)
	}
}
