package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Finding is what Check found out about one ability of the host.
type Finding struct {
	Name   string
	OK     bool
	Detail string
	// Hint says how to get the ability; empty when OK.
	Hint string
	// Fatal: kiln cannot bake without it.
	Fatal bool
}

// Check says what the host can do for the sandbox and, where it cannot, how to
// change that. dirs are directories that builds will use, such as the cache
// (default the temporary directory); they are written to and left as they were.
func Check(ctx context.Context, dirs ...string) []Finding {
	if len(dirs) == 0 {
		dirs = []string{os.TempDir()}
	}
	root := os.Geteuid() == 0
	all := []Finding{checkKernel(), checkSeccomp(), checkProcessLimit(root), checkPlatforms()}
	for _, f := range append(userNSFindings(), subIDFindings(root)...) {
		f.Fatal = !root && !f.OK
		if root && !f.OK {
			f.Detail += " (not needed as root)"
		}
		all = append(all, f)
	}
	for _, dir := range dirs {
		all = append(all, checkDisk(dir))
		all = append(all, checkRun(ctx, dir, root)...)
	}
	return all
}

func checkKernel() Finding {
	major, minor := kernelVersion()
	f := Finding{Name: "kernel", OK: kernelAtLeast(5, 12), Detail: fmt.Sprintf("Linux %d.%d", major, minor)}
	if !f.OK {
		f.Fatal, f.Hint = true, "the sandbox needs Linux 5.12 or later: upgrade the kernel"
	}
	return f
}

func checkSeccomp() Finding {
	if hasSeccomp() {
		return Finding{Name: "seccomp", OK: true, Detail: "system call filters are available"}
	}
	return Finding{Name: "seccomp", Detail: "the kernel has no system call filters: less isolation, slower installs",
		Hint: "use a kernel with CONFIG_SECCOMP_FILTER"}
}

func checkProcessLimit(root bool) Finding {
	by := chooseLimiter(!root || InUserNamespace())
	if by != byCount {
		return Finding{Name: "process limit", OK: true, Detail: "the number of processes is limited by " + string(by)}
	}
	return Finding{Name: "process limit", Detail: "processes are counted, but the kernel does not limit their number",
		Hint: "upgrade to Linux 6.14 or later, give kiln a control group with the pids controller, or limit kiln itself: systemd-run -p TasksMax=4096 kiln …"}
}

// userNSFindings are the switches that systems put on user namespaces.
func userNSFindings() []Finding {
	switches := []struct{ file, bad, why, hint string }{
		{"/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces is 0",
			"as root: sysctl user.max_user_namespaces=28633"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone is 0",
			"as root: sysctl kernel.unprivileged_userns_clone=1"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor restricts user namespaces",
			"as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0, or give kiln an AppArmor profile with userns"},
	}
	for _, s := range switches {
		if content, err := os.ReadFile(s.file); err == nil && strings.TrimSpace(string(content)) == s.bad {
			return []Finding{{Name: "user namespaces", Detail: s.why, Hint: s.hint}}
		}
	}
	if _, err := os.Stat("/proc/self/ns/user"); err != nil {
		return []Finding{{Name: "user namespaces", Detail: "the kernel has none", Hint: "use a kernel with CONFIG_USER_NS, or run kiln as root"}}
	}
	return []Finding{{Name: "user namespaces", OK: true, Detail: "allowed"}}
}

// subIDFindings are what rootless bakes need besides the kernel.
func subIDFindings(root bool) []Finding {
	ids := Finding{Name: "subordinate ids", OK: true, Detail: "/etc/subuid and /etc/subgid give enough ids"}
	if _, _, err := subordinateMaps(); err != nil {
		var hint *HintError
		ids.OK, ids.Detail = false, err.Error()
		if errors.As(err, &hint) {
			ids.Hint = hint.Hint
		}
	}
	helpers := Finding{Name: "newuidmap", OK: true, Detail: "newuidmap and newgidmap are installed"}
	for _, h := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(h); err != nil {
			helpers = Finding{Name: "newuidmap", Detail: h + " is not installed", Hint: "as root: apt-get install uidmap"}
		}
	}
	return []Finding{ids, helpers}
}

// minDisk is what a bake of a base image and its cache take, roughly.
const minDisk = 2 << 30

func checkDisk(dir string) Finding {
	var st unix.Statfs_t
	if err := unix.Statfs(existing(dir), &st); err != nil {
		return Finding{Name: "disk", Detail: dir + ": " + err.Error(), Hint: "choose another directory (KILN_CACHE)", Fatal: true}
	}
	free := int64(st.Bavail) * st.Bsize
	f := Finding{Name: "disk", OK: free >= minDisk, Detail: fmt.Sprintf("%s: %d MB free", dir, free>>20)}
	if !f.OK {
		f.Hint = fmt.Sprintf("free at least %d MB, or choose another directory (KILN_CACHE)", minDisk>>20)
	}
	return f
}

// existing is dir or the nearest parent that exists.
func existing(dir string) string {
	for dir != "/" && dir != "." {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// checkRun makes a real sandbox with its writable layer in dir: on an overlay,
// else on a copy.
func checkRun(ctx context.Context, dir string, root bool) []Finding {
	try := probe
	if !root {
		try = probeRootless
	}
	overlay := Finding{Name: "overlay", OK: true, Detail: "layers are stacked in " + dir}
	err := try(ctx, existing(dir), false)
	if overlayRefused(err) {
		overlay.OK, overlay.Hint = false, hintRun(existing(dir), err)
		overlay.Detail = fmt.Sprintf("layers are copied in %s, which is slower: %v", dir, err)
		err = try(ctx, existing(dir), true)
	}
	f := Finding{Name: "sandbox", OK: true, Detail: "made one in " + dir}
	if err != nil {
		f.OK, f.Fatal, f.Detail = false, true, err.Error()
		f.Hint = hintRun(existing(dir), err)
		return []Finding{f}
	}
	return []Finding{f, overlay}
}

func hintRun(dir string, err error) string {
	var hint *HintError
	var st unix.Statfs_t
	switch {
	case errors.As(err, &hint):
		return hint.Hint
	case unix.Statfs(dir, &st) == nil && int64(st.Type) == unix.OVERLAYFS_SUPER_MAGIC:
		return "the directory lies on an overlay itself; put KILN_CACHE on a volume"
	case errors.Is(err, unix.EPERM):
		return "run kiln as root or in a container that may mount (docker run --privileged), or rootless on the host"
	case errors.Is(err, unix.ENODEV):
		return "as root: modprobe overlay"
	}
	return "put KILN_CACHE on a local file system such as ext4, xfs or btrfs"
}

// probe makes a sandbox with an empty root, executes nothing and removes it.
func probe(ctx context.Context, dir string, copied bool) error {
	tmp, err := os.MkdirTemp(dir, ".kiln-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	spec := Spec{Root: Root{Lowers: []string{tmp + "/lower"}, Upper: tmp + "/upper", Work: tmp + "/work"}, Args: []string{"probe"}}
	for _, d := range []string{"lower", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(tmp, d), 0o755); err != nil {
			return err
		}
	}
	if spec, err = spec.normalised(); err != nil {
		return err
	}
	try := start
	if copied {
		try = startCopied
	}
	p, err := try(ctx, order{Spec: spec, UserNS: InUserNamespace(), Probe: true})
	if err != nil {
		return err
	}
	return p.Wait()
}

// probeAnswer is what a probe in a user namespace prints.
type probeAnswer struct {
	Step  string
	Error string
	Errno int
}

// probeRootless is probe in a user namespace of our own.
func probeRootless(ctx context.Context, dir string, copied bool) error {
	var out, stderr strings.Builder
	exit, err := Unshare(ctx, Command{Args: []string{probeName, strconv.FormatBool(copied), dir}, Env: os.Environ(), Stdout: &out, Stderr: &stderr})
	if err != nil {
		return err
	}
	var answer probeAnswer
	if json.Unmarshal([]byte(out.String()), &answer) != nil {
		return fmt.Errorf("user namespace: exit status %d: %s", exit, strings.TrimSpace(stderr.String()))
	}
	if answer.Error == "" {
		return nil
	}
	return setupError(report{Step: answer.Step, Error: answer.Error, Errno: answer.Errno})
}

// printProbe is the inner half of probeRootless.
func printProbe() int {
	var answer probeAnswer
	copied := len(os.Args) > 2 && os.Args[1] == "true"
	if err := probe(context.Background(), os.Args[len(os.Args)-1], copied); err != nil {
		r := failure(err)
		answer = probeAnswer{r.Step, r.Error, r.Errno}
	}
	json.NewEncoder(os.Stdout).Encode(answer)
	return 0
}
