//go:build full

package debian

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// allowed are the differences from mmdebstrap's tree, by pattern: what differs
// and why.
var allowed = []struct{ pattern, how, why string }{
	{"dev/*", "missing", "an image has no devices: whatever runs it provides them"},
	{"etc/fstab", "missing", "mmdebstrap writes one itself, for machines"},
	{"etc/hostname", "missing", "mmdebstrap copies the host's"},
	{"etc/resolv.conf", "missing", "mmdebstrap copies the host's"},
	{"etc/apt/sources.list.d/*", "missing", "the image's sources come from its template"},
	{"var/cache/apt/archives/lock", "missing", "apt never ran"},
	{"var/cache/apt/archives/partial", "drwx------ 0:0, not drwxr-xr-x 0:0", "as apt's package ships it: apt never ran"},
	{"var/lib/apt/lists/lock", "missing", "apt never ran"},
	{"var/lib/apt/lists/partial", "drwx------ 0:0, not drwxr-xr-x 0:0", "as apt's package ships it: apt never ran"},
	{"etc/shells", "content", "order of lines: the order in which packages are configured"},
	{"etc/shadow", "content", "the day is that of SOURCE_DATE_EPOCH"},
	{"etc/shadow-", "content", "the day is that of SOURCE_DATE_EPOCH"},
	{"etc/ssh/ssh_host_*", "missing", "an identity: each machine makes its own"},
	{"etc/ssl/certs/java/cacerts", "content", "the times of entries are the image's, and the entries sorted"},
	{"var/lib/apt/extended_states", "missing", "apt's memory of what was installed automatically"},
	{"var/cache/debconf/*-old", "missing", "backup of an earlier state"},
	{"var/lib/dpkg/*-old", "missing", "backup of an earlier state"},
}

func excused(name, how string) bool {
	for _, a := range allowed {
		if ok, _ := filepath.Match(a.pattern, name); ok && a.how == how {
			return true
		}
	}
	return false
}

// TestAgainstMmdebstrap compares trees with those that mmdebstrap makes of
// the same packages: paths, types, modes, owners, targets, content.
func TestAgainstMmdebstrap(t *testing.T) {
	node := &tree{req: Request{Variant: "minbase", Packages: []string{"nodejs"}}}
	for _, c := range []struct {
		name string
		tree *tree
	}{{"nodejs", node}, {"services", services}} {
		t.Run(c.name, func(t *testing.T) {
			ours := c.tree.path(t)
			theirs := mmdebstrapTree(t, c.tree.req.Packages)
			if a, b := packageList(t, theirs), packageList(t, ours); a != b {
				t.Errorf("packages differ:\n%s\nours:\n%s", a, b)
			}
			diff := differences(described(t, theirs), described(t, ours))
			for name, how := range diff {
				if excused(name, how) {
					delete(diff, name)
				}
			}
			report(t, "against mmdebstrap", diff)
			a, b := dpkgVerify(t, theirs), dpkgVerify(t, ours)
			for line := range strings.Lines(b) {
				if !strings.Contains(a, line) {
					t.Errorf("dpkg --verify prints %q", line)
				}
			}
		})
	}
}

// mmdebstrapTree makes a tree with Debian's tool from the same sources.
func mmdebstrapTree(t *testing.T, packages []string) string {
	t.Helper()
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		install := exec.Command("apt-get", "install", "-y", "--no-install-recommends", "mmdebstrap")
		if out, err := install.CombinedOutput(); err != nil {
			t.Fatalf("install mmdebstrap: %v\n%s", err, out)
		}
	}
	sources, err := HostSources("bookworm")
	if err != nil {
		t.Fatal(err)
	}
	var list strings.Builder
	for _, s := range sources {
		list.WriteString("deb " + s.Mirror + " " + s.Suite + " " + strings.Join(s.Components, " ") + "\n")
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/sources.list", []byte(list.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	make := exec.Command("mmdebstrap", "--variant=minbase", "--include="+strings.Join(packages, ","),
		"bookworm", dir+"/tree", dir+"/sources.list")
	make.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C.UTF-8")
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("mmdebstrap: %v\n%s", err, out)
	}
	return dir + "/tree"
}

func packageList(t *testing.T, root string) string {
	t.Helper()
	return run(t, readOnly(t, root), "dpkg-query", "-W")
}

func dpkgVerify(t *testing.T, root string) string {
	t.Helper()
	return run(t, readOnly(t, root), "sh", "-c", "dpkg --verify; dpkg --audit")
}

// readOnly is a target that leaves the tree as it is.
func readOnly(t *testing.T, root string) Target {
	t.Helper()
	return newTarget(t, root)
}
