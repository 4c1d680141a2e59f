package sandbox

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A fork bomb is ended, says so, and leaves nothing, whatever the kernel has to
// keep it in bounds until it is noticed (FAULTS 28).
func TestForkBomb(t *testing.T) {
	before, _ := os.ReadFile("/proc/sys/kernel/pid_max")
	for _, by := range limiters(t) {
		t.Run(string(by), func(t *testing.T) {
			begun := time.Now()
			attack := []string{"bomb"}
			if by == byCount { // for the sake of the machine
				attack = []string{"try", "fork", "400"}
			}
			e := exitError(t, runLimited(t, by, 100, attack...))
			if want := "ended: more than 100 processes and threads at once"; e.Reason != want {
				t.Errorf("got %q, want %q", e.Reason, want)
			}
			if d := time.Since(begun); d > 20*time.Second {
				t.Errorf("took %s", d)
			}
			if left := running(t); left > 0 {
				t.Errorf("%d processes are left", left)
			}
			if left := ownControlGroups(t); len(left) > 0 {
				t.Errorf("control groups are left: %v", left)
			}
		})
	}
	after, _ := os.ReadFile("/proc/sys/kernel/pid_max")
	same(t, "the machine's limit", string(after), string(before))
}

// What forks faster than anybody counts is stopped by the kernel.
func TestProcessLimit(t *testing.T) {
	for _, by := range limiters(t) {
		if by == byCount {
			continue
		}
		t.Run(string(by), func(t *testing.T) {
			var out strings.Builder
			spec := Spec{Root: Root{Lowers: []string{tree(t, nil)}}, Stdout: &out, Args: []string{"/bin/guest", "try", "fork", "400"}, Limits: Limits{MaxProcesses: 10}}
			spec, err := spec.normalised()
			if err != nil {
				t.Fatal(err)
			}
			p, err := start(context.Background(), order{Spec: spec, UserNS: InUserNamespace(), Limiter: by, uncounted: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Wait(); err != nil {
				t.Fatal(err)
			}
			same(t, "forks", out.String(), "fork: stopped: true\n")
		})
	}
}

// The group in which a command runs has a name by chance, which it must not see.
func TestControlGroupIsHidden(t *testing.T) {
	if !slices.Contains(limiters(t), byCgroup) {
		return
	}
	var out strings.Builder
	spec := Spec{Root: Root{Lowers: []string{tree(t, nil)}}, Stdout: &out, Args: []string{"/bin/guest", "cat", "/proc/self/cgroup"}, Limits: Limits{MaxProcesses: 100}}
	spec, err := spec.normalised()
	if err != nil {
		t.Fatal(err)
	}
	p, err := start(context.Background(), order{Spec: spec, UserNS: InUserNamespace(), Limiter: byCgroup})
	if err != nil {
		t.Fatal(err)
	}
	if p.group == "" {
		t.Error("it runs in no group of its own")
	}
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(out.String()), "\n") {
		if !strings.HasSuffix(line, ":/") {
			t.Errorf("it sees %s", line)
		}
	}
}

// limiters are those that can be tried here, counting alone included.
func limiters(t *testing.T) []limiter {
	t.Helper()
	all := []limiter{byCount}
	if namespacedPidMax() {
		all = append(all, byPidMax)
	}
	if canGroup() {
		all = append(all, byCgroup)
	}
	if InUserNamespace() {
		all = append(all, byRlimit)
	}
	if len(all) == 1 {
		t.Fatal("nothing here limits the number of processes")
	}
	return all
}

func runLimited(t *testing.T, by limiter, most int, args ...string) error {
	t.Helper()
	spec := Spec{Root: Root{Lowers: []string{tree(t, nil)}}, Args: append([]string{"/bin/guest"}, args...), Limits: Limits{MaxProcesses: most}, Timeout: time.Minute}
	spec, err := spec.normalised()
	if err != nil {
		t.Fatal(err)
	}
	p, err := start(context.Background(), order{Spec: spec, UserNS: InUserNamespace(), Limiter: by})
	if err != nil {
		t.Fatal(err)
	}
	return p.Wait()
}

func ownControlGroups(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, parent := range groupParents() {
		found, err := filepath.Glob(filepath.Join(parent, groupPrefix+strconv.Itoa(os.Getpid())+"-*"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

func TestOwnGroups(t *testing.T) {
	const (
		v1    = "31 24 0:27 / /sys/fs/cgroup/pids rw,relatime shared:9 - cgroup cgroup rw,pids\n32 24 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
		v2    = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
		inner = "30 23 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
	)
	for name, c := range map[string]struct{ mounts, groups, want string }{
		"version 1":      {v1, "9:name=systemd:/\n8:pids:/user/x\n0::/\n", "/sys/fs/cgroup/pids/user/x"},
		"version 2":      {v2, "0::/user.slice/run-1.scope\n", "/sys/fs/cgroup/user.slice/run-1.scope"},
		"a part mounted": {inner, "0::/docker/abc/sub\n", "/sys/fs/cgroup/sub"},
		"elsewhere":      {inner, "0::/docker/def\n", ""},
		"above":          {v2, "0::/../..\n", ""},
		"none":           {"", "", ""},
		"nonsense":       {"- cgroup2\nx - y\n", "a:b\n::\n", ""},
	} {
		same(t, name, strings.Join(ownGroups(c.mounts, c.groups), " "), c.want)
	}
}

// The groups of a killed kiln go when the next one makes its own.
func TestRemoveStale(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "kiln-4194305-x/", "") // beyond the largest process id
	put(t, dir, "kiln-1-x/", "")
	put(t, dir, "other/", "")
	removeStale(dir)
	same(t, "left", strings.Join(names(t, dir), " "), "kiln-1-x other")
}
