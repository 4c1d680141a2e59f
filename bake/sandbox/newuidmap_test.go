package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// asUser runs a helper as user 12345 of a machine whose account files give that
// user subordinate ids, or none.
func asUser(t *testing.T, subIDs string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("newuidmap"); err != nil {
		if out, err := exec.Command("apt-get", "install", "-qqy", "uidmap").CombinedOutput(); err != nil {
			t.Fatalf("install uidmap: %v\n%s", err, out)
		}
	}
	accounts := shared(t)
	put(t, accounts, "passwd", "root:x:0:0::/root:/bin/sh\nbaker:x:12345:12345::/tmp:/bin/sh\n")
	put(t, accounts, "subuid", subIDs)
	put(t, accounts, "subgid", subIDs)
	cmd := exec.Command("/proc/self/exe", append([]string{"helper-accounts", accounts}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// An ordinary user with subordinate ids runs the sandbox as root of a namespace.
func TestNewuidmap(t *testing.T) {
	base := shared(t)
	lower := filepath.Join(base, "lower")
	content, err := os.ReadFile(guest)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"lower/bin", "upper", "work"} {
		put(t, base, dir+"/", "")
		os.Chown(filepath.Join(base, dir), 12345, 12345)
	}
	if err := os.WriteFile(lower+"/bin/guest", content, 0o755); err != nil {
		t.Fatal(err)
	}
	ids := "baker:200000:65536\n"
	out := asUser(t, ids, "helper-unshare", "helper-inside", lower, base)
	same(t, "inside", out, "0 0 true\n0 0 [] /root /\nchown: ok\n<nil>\n")
	st, err := os.Stat(filepath.Join(base, "upper/made"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "owner", fmt.Sprint(st.Sys().(*syscall.Stat_t).Uid), fmt.Sprint(200000+1234-1))

	out = asUser(t, ids, "helper-check", base)
	if strings.Contains(out, ": false") || !strings.Contains(out, "sandbox: true") {
		t.Errorf("findings of a user with ids:\n%s", out)
	}
}

func TestNewuidmapWithoutIDs(t *testing.T) {
	out := asUser(t, "", "helper-check", shared(t))
	for _, want := range []string{"subordinate ids: false true as root: usermod --add-subuids", "sandbox: false true as root: usermod"} {
		if !strings.Contains(out, want) {
			t.Errorf("findings:\n%s\nwant %s", out, want)
		}
	}
}
