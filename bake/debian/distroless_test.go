package debian

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDistroless ships Java out of a whole tree, and runs it from a copy of
// the selection alone.
func TestDistroless(t *testing.T) {
	whole := newTarget(t).Upper
	if out, err := exec.Command("cp", "-a", services.path(t)+"/.", whole).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got, err := Distroless(whole, []string{"openjdk-17-jre-headless"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"etc/passwd", "etc/group", "etc/nsswitch.conf", "etc/os-release", "bin", "lib64", "tmp", "root",
		"usr/bin/java", "etc/alternatives/java", "etc/ssl/certs/ca-certificates.crt", "etc/ssl/certs/java/cacerts",
		"var/lib/dpkg/status.d/libc6", "var/lib/dpkg/status.d/libc6.md5sums", "var/lib/dpkg/status.d/openjdk-17-jre-headless",
	} {
		if !slices.Contains(got.Paths, name) {
			t.Errorf("%s is not shipped", name)
		}
	}
	for _, name := range []string{
		"bin/sh", "usr/bin/sh", "usr/bin/dash", "usr/bin/bash", "usr/bin/dpkg", "usr/bin/apt", "usr/bin/perl",
		statusFile, infoDir, "etc/shadow", "etc/nginx", "usr/sbin/nginx", "usr/sbin/sshd", "etc/ssh",
	} {
		if slices.Contains(got.Paths, name) {
			t.Errorf("%s is shipped", name)
		}
	}
	small := copySelection(t, whole, got.Paths)
	if out := run(t, small, "java", "-version"); !strings.Contains(out, "OpenJDK") {
		t.Errorf("java printed %q", out)
	}
	var fragments bytes.Buffer
	files, err := filepath.Glob(small.Upper + "/" + fragmentDir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, ".md5sums") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fragments.Write(append(data, '\n'))
	}
	installed, err := ReadStatus(&fragments)
	if err != nil || len(installed) != len(got.Packages) {
		t.Errorf("%d fragments, %d packages, %v", len(installed), len(got.Packages), err)
	}
	if _, err := Distroless(whole, []string{"absent"}); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("a package that is not installed: %v", err)
	}
}

// copySelection makes a tree of the shipped paths alone.
func copySelection(t *testing.T, whole string, paths []string) Target {
	t.Helper()
	target := newTarget(t)
	c := exec.Command("sh", "-c", `tar -C "$1" --no-recursion --null -T - -c | tar -C "$2" -x`, "sh", whole, target.Upper)
	c.Stdin = strings.NewReader(strings.Join(paths, "\x00"))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return target
}
