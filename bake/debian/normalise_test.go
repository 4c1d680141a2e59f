package debian

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestNormaliseStep: a command ships no identity and no log of dpkg, but all
// else that it made, and what it removed stays removed.
func TestNormaliseStep(t *testing.T) {
	upper, at := t.TempDir(), time.Unix(1_700_000_000, 0)
	write := func(name string, data []byte) {
		t.Helper()
		path := filepath.Join(upper, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	gone := []string{
		"etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_rsa_key.pub", "etc/ssl/certs/ssl-cert-snakeoil.pem",
		"etc/ssl/private/ssl-cert-snakeoil.key", "var/cache/ldconfig/aux-cache", "var/log/dpkg.log", "var/log/apt/term.log",
	}
	kept := []string{"etc/ssh/sshd_config", "var/log/app.log", "var/tmp/x", "var/lib/apt/lists/y", "var/lib/dpkg/status-old"}
	for _, name := range append(append([]string{"etc/machine-id"}, gone...), kept...) {
		write(name, []byte("text"))
	}
	write("etc/ssl/certs/java/cacerts", jks(time.Now(), "b", "a"))
	whiteout := filepath.Join(upper, "etc/ssh/ssh_host_ecdsa_key")
	if err := unix.Mknod(whiteout, unix.S_IFCHR, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/srv", filepath.Join(upper, "var/lib/dbus")); err != nil {
		t.Fatal(err)
	}
	if err := NormaliseStep(upper, at); err != nil {
		t.Fatal(err)
	}
	for _, name := range gone {
		if _, err := os.Lstat(filepath.Join(upper, name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
	for _, name := range kept {
		if data, err := os.ReadFile(filepath.Join(upper, name)); string(data) != "text" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if _, err := os.Lstat(whiteout); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(filepath.Join(upper, "etc/machine-id")); err != nil || len(data) > 0 {
		t.Errorf("machine-id: %q, %v", data, err)
	}
	if data, err := os.ReadFile(filepath.Join(upper, "etc/ssl/certs/java/cacerts")); err != nil || !bytes.Equal(data, jks(at, "a", "b")) {
		t.Errorf("keystore: %v", err)
	}
}

// TestNormaliseStepAnywhere: an image need not be Debian, nor have anything.
func TestNormaliseStepAnywhere(t *testing.T) {
	if err := NormaliseStep(t.TempDir(), time.Now()); err != nil {
		t.Error(err)
	}
}
