package sandbox

import (
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestOnlyLoopback(t *testing.T) {
	spec := Spec{Root: Root{Lowers: []string{tree(t, nil)}}}
	same(t, "interfaces", output(t, spec, "ifs"), "lo true [127.0.0.1/8 ::1/128]\n")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := l.Addr().String()
	if got := output(t, spec, "try", "dial", addr, ";", "try", "dial", "192.0.2.1:80"); strings.Contains(got, "ok") ||
		!strings.Contains(got, "connection refused") || !strings.Contains(got, "network is unreachable") {
		t.Errorf("dials: %s", got)
	}
	spec.Network = NetworkHost
	same(t, "dial on the host's network", output(t, spec, "try", "dial", addr), "dial: ok\n")
}

func TestEnvironment(t *testing.T) {
	t.Setenv("KILN_SANDBOX_LEAK", "leak")
	passwd := "root:x:0:0::/root:/bin/sh\napp:x:10001:20002::/srv/app:/bin/sh\n"
	group := "root:x:0:\nextra:x:30003:other,app\nmore:x:30004:app\n"
	spec := Spec{Root: writable(t, tree(t, map[string]string{"etc/passwd": passwd, "etc/group": group, "srv/": ""}))}
	same(t, "default", output(t, spec, "env"), "PATH="+defaultPath+"\nHOME=/root\n")
	spec.Env = []string{"B=2", "A=1", "HOME=/h"}
	same(t, "given", output(t, spec, "env"), "B=2\nA=1\nHOME=/h\nPATH="+defaultPath+"\n")
	spec.Env = nil
	for user, want := range map[string]string{
		"": "0 0 [] /root /srv", "0": "0 0 [] /root /srv", "app": "10001 20002 [30003 30004] /srv/app /srv",
		"10001": "10001 20002 [30003 30004] /srv/app /srv", "10001:5": "10001 5 [] /srv/app /srv", "77": "77 0 [] / /srv",
		"app:more": "10001 30004 [] /srv/app /srv", "77:88": "77 88 [] / /srv",
	} {
		spec.User, spec.Dir = user, "/srv"
		same(t, "user "+user, output(t, spec, "id"), want+"\n")
	}
	spec.User = "10001"
	same(t, "output by name", output(t, spec, "write", "/dev/stdout", "x"), "x")
	for user, want := range map[string]string{"nobody": `user "nobody" is not in`, "0:wheel": `group "wheel" is not in`, "4294967295": "is not in"} {
		spec.User = user
		if r := runGuest(t, spec, "true"); r.err == nil || !strings.Contains(r.err.Error(), want) {
			t.Errorf("user %s: error is %v", user, r.err)
		}
	}
	spec.User, spec.Dir = "", "/nowhere"
	if r := runGuest(t, spec, "true"); r.err == nil || !strings.Contains(r.err.Error(), "no directory /nowhere") {
		t.Errorf("dir: error is %v", r.err)
	}
}

// What a process says of itself is fixed, whatever kiln was started with.
func TestSelf(t *testing.T) {
	inherited, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer inherited.Close()
	clearCloseOnExec(t, inherited)
	spec := Spec{Root: Root{Lowers: []string{tree(t, nil)}}}
	status := output(t, spec, "cat", "/proc/self/status")
	for field, want := range map[string]string{
		"Umask": "0022", "NoNewPrivs": "1", "Seccomp": "2", "CapInh": "0000000000000000", "CapAmb": "0000000000000000",
		"CapPrm": "00000000000004fb", "CapEff": "00000000000004fb", "CapBnd": "00000000000004fb",
	} {
		same(t, field, statusField(status, field), want)
	}
	spec.Profile = ProfileInstall
	same(t, "CapEff", statusField(output(t, spec, "cat", "/proc/self/status"), "CapEff"), "00000000a00405fb")
	spec.User = "10001"
	same(t, "CapPrm of a user", statusField(output(t, spec, "cat", "/proc/self/status"), "CapPrm"), "0000000000000000")
	spec.User = ""
	same(t, "descriptors", output(t, spec, "ls", "/proc/self/fd"), "0\n1\n2\n3\n") // 3 is the directory itself
	same(t, "host name", output(t, spec, "cat", "/proc/sys/kernel/hostname", ";", "cat", "/proc/sys/kernel/domainname"), "kiln\n(none)\n")
	same(t, "processes", output(t, spec, "cat", "/proc/1/comm", ";", "try", "readlink", "/proc/1/exe", ";", "try", "readlink", "/proc/1/root"),
		"exe\nreadlink: readlink /proc/1/exe: permission denied\nreadlink: readlink /proc/1/root: permission denied\n")
	// The leading thread has mounts that are not the command's.
	for _, name := range []string{"root", "cwd", "ns/mnt"} {
		got := output(t, spec, "try", "readlink", "/proc/1/task/1/"+name)
		same(t, name, got, "readlink: readlink /proc/1/task/1/"+name+": permission denied\n")
	}
	same(t, "cgroup", regexp.MustCompile(`(?m)^.*:`).ReplaceAllString(output(t, spec, "cat", "/proc/self/cgroup"), "")[:2], "/\n")
	limits := output(t, spec, "cat", "/proc/self/limits")
	for _, want := range []string{`Max core file size +0 +0`, `Max file size +unlimited +unlimited`} {
		if !regexp.MustCompile(want).MatchString(limits) {
			t.Errorf("limits:\n%s\nwant %s", limits, want)
		}
	}
}

// The mount table names nothing but what the sandbox is made of.
func TestMountTable(t *testing.T) {
	var bound []string // devices, where they cannot be made
	for _, d := range devices() {
		bound = append(bound, d.name)
	}
	for name, root := range map[string]Root{"overlay": writable(t, tree(t, nil)), "bind": {Upper: tree(t, nil)}, "read-only": {Lowers: []string{tree(t, nil)}}} {
		var points []string
		for _, line := range strings.Split(strings.TrimSpace(output(t, Spec{Root: root}, "cat", "/proc/self/mountinfo")), "\n") {
			point := strings.Fields(line)[4]
			if strings.HasPrefix(point, "/proc/") || slices.Contains(bound, strings.TrimPrefix(point, "/dev/")) {
				continue
			}
			points = append(points, point)
		}
		same(t, name, strings.Join(points, " "), "/ /proc /dev /dev/shm /dev/pts")
	}
}

// Process 1 has a root of its own, by which ischroot(1) tells a chroot.
func TestOwnMounts(t *testing.T) {
	both := output(t, Spec{Root: writable(t, tree(t, nil))}, "cat", "/proc/1/mountinfo", ";", "cat", "/proc/self/mountinfo")
	var roots []string
	for _, line := range strings.Split(strings.TrimSpace(both), "\n") {
		if f := strings.Fields(line); f[4] == "/" {
			roots = append(roots, f[0])
		}
	}
	if len(roots) != 2 || roots[0] == roots[1] {
		t.Errorf("mounts of the root: %v", roots)
	}
}

func statusField(status, field string) string {
	_, rest, _ := strings.Cut(status, "\n"+field+":\t")
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

func TestForbidden(t *testing.T) {
	spec := Spec{Root: writable(t, tree(t, map[string]string{"tmp/": "", "etc/x": ""}))}
	for _, c := range [][]string{
		{"mount"}, {"mknod", "/tmp/disk"}, {"mknod", "/dev/disk"}, {"chroot"}, {"hostname"}, {"userns"},
		{"socket", "40"}, {"socket", "38"}, {"socket", "17"},
		{"write", "/proc/sys/kernel/hostname"}, {"write", "/proc/sysrq-trigger"}, {"write", "/proc/sys/vm/drop_caches"},
	} {
		if c[0] == "write" {
			if _, err := os.Stat(c[1]); err != nil {
				continue // not in this kernel
			}
		}
		got := output(t, spec, append([]string{"try"}, c...)...)
		if !strings.Contains(got, "operation not permitted") && !strings.Contains(got, "read-only file system") &&
			!strings.Contains(got, "address family not supported") {
			t.Errorf("%v: %s", c, got)
		}
	}
	for _, name := range []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/kallsyms"} {
		if _, err := os.Stat(name); err == nil {
			same(t, name, output(t, spec, "cat", name), "")
		}
	}
	same(t, "sys", output(t, Spec{Root: writable(t, tree(t, map[string]string{"sys/": ""}))}, "ls", "/sys"), "")
}

func TestAllowed(t *testing.T) {
	spec := Spec{Root: writable(t, tree(t, map[string]string{"tmp/": ""})), Profile: ProfileInstall}
	got := output(t, spec, "try", "chroot", ";", "try", "chown", "/tmp", ";", "try", "fsync", "/tmp/x", ";", "try", "tty", ";",
		"try", "write", "/dev/null", ";", "try", "write", "/dev/shm/x", ";", "try", "socket", "2", ";", "ls", "/dev")
	want := "chroot: ok\nchown: ok\nfsync: ok\ntty: ok\nwrite: ok\nwrite: ok\nsocket: ok\n" +
		"fd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n"
	same(t, "results", got, want)
}
