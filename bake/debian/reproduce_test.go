//go:build full

package debian

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReproducible installs the same packages again: 40 days later, with
// another umask, time zone and language, on one core, from packages unpacked
// anew and given in another order.
func TestReproducible(t *testing.T) {
	want := services.path(t)
	debs := realDebs(t, services.req)
	for i, k := 0, len(debs)-1; i < k; i, k = i+1, k-1 {
		debs[i], debs[k] = debs[k], debs[i]
	}
	dir := t.TempDir()
	target := targetIn(t, dir)
	target.Runner = chrootRunner{dir: dir, target: &target, env: later(t)}
	t.Setenv("TZ", "Pacific/Kiritimati")
	t.Setenv("LANG", "tr_TR.UTF-8")
	t.Setenv("GOMAXPROCS", "1")
	defer syscall.Umask(syscall.Umask(0o077))
	in := installation(t, target, debs)
	in.Unpacked = Cache{t.TempDir()}
	result, err := in.Do(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if day := strings.TrimSpace(run(t, target, "date", "+%Y-%m-%d")); day < time.Now().AddDate(0, 0, 39).Format(time.DateOnly) {
		t.Errorf("the second installation's clock said %s", day)
	}
	report(t, "second time", differences(described(t, want), described(t, target.Upper)))
	for name, at := range services.result.Times {
		if !result.Times[name].Equal(at) {
			t.Errorf("time of %s: %v and %v", name, at, result.Times[name])
		}
	}
	if len(result.Times) != len(services.result.Times) {
		t.Errorf("%d and %d times", len(services.result.Times), len(result.Times))
	}
	if keys, _ := filepath.Glob(want + "/etc/ssh/ssh_host_*"); len(keys) > 0 {
		t.Errorf("host keys shipped: %v", keys)
	}
}

// later makes variables for a clock 40 days ahead. The library lies in the
// host's /dev, which the runner shows to commands.
func later(t *testing.T) []string {
	t.Helper()
	libs, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if len(libs) == 0 {
		out, err := exec.Command("apt-get", "install", "-y", "libfaketime").CombinedOutput()
		if err != nil {
			t.Fatalf("install libfaketime: %v\n%s", err, out)
		}
		libs, _ = filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	}
	data, err := os.ReadFile(libs[0])
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp("/dev/shm", "faketime-*.so")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(f.Name()) })
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := f.Chmod(0o755); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return []string{
		"LD_PRELOAD=" + f.Name(), "FAKETIME=+40d", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1",
	}
}
