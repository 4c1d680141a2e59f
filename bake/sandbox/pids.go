package sandbox

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// limiter is how the kernel keeps the number of processes and threads of a
// sandbox in bounds. Whatever it is, the parent also counts them, and ends a
// sandbox that has too many.
type limiter string

const (
	// byPidMax: the pid namespace has a pid_max of its own, from Linux 6.14 on.
	byPidMax limiter = "pid_max"
	// byCgroup: the pids controller, where kiln may make a group.
	byCgroup limiter = "cgroup"
	// byRlimit: RLIMIT_NPROC, which counts everything of this user namespace.
	byRlimit limiter = "rlimit"
	// byCount: by the parent's counting alone, ten times a second.
	byCount limiter = "count"
)

// slack is by how much the kernel's limit is above ours: it is there for what
// forks faster than anybody counts. With less pid_max is refused (RESERVED_PIDS).
const slack = 301

// chooseLimiter is the best one here; the first machine's root is exempt from
// RLIMIT_NPROC.
func chooseLimiter(userNS bool) limiter {
	switch {
	case namespacedPidMax():
		return byPidMax
	case canGroup():
		return byCgroup
	case userNS:
		return byRlimit
	}
	return byCount
}

// limitProcesses bounds the process ids of our pid namespace. It must run while
// /proc/sys is writable.
func (p *firstProcess) limitProcesses() error {
	if p.Limiter != byPidMax {
		return nil
	}
	n := p.Spec.Limits.MaxProcesses + slack
	return os.WriteFile("/proc/sys/kernel/pid_max", []byte(strconv.Itoa(n)), 0)
}

// namespacedPidMax: before Linux 6.14 pid_max is the whole machine's and not
// ours to touch.
func namespacedPidMax() bool { return kernelAtLeast(6, 14) }

// counter counts what runs in a sandbox, through the sandbox's own /proc.
type counter struct{ proc *os.File }

// newCounter needs the running first process; nil where it cannot be looked
// into, or is gone already.
func newCounter(first int) *counter {
	proc, err := os.Open(fmt.Sprintf("/proc/%d/root/proc", first))
	if err != nil {
		return nil
	}
	return &counter{proc}
}

// atLeast tells whether at least n processes and threads are there.
func (c *counter) atLeast(n int) bool {
	if c == nil {
		return false
	}
	if _, err := c.proc.Seek(0, 0); err != nil {
		return false
	}
	names, err := c.proc.Readdirnames(-1)
	if err != nil {
		return false
	}
	tasks := 0
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		var st unix.Stat_t
		if unix.Fstatat(int(c.proc.Fd()), name+"/task", &st, 0) == nil {
			tasks += max(1, int(st.Nlink)-2)
		}
		if tasks >= n {
			return true
		}
	}
	return false
}

func (c *counter) close() {
	if c != nil {
		c.proc.Close()
	}
}

// tooMany is the verdict when there are more processes than allowed, else nil.
func (p *Process) tooMany() *ExitError {
	most := p.spec.Limits.MaxProcesses
	if most <= 0 || !p.counter.atLeast(most+1) {
		return nil
	}
	return killed(fmt.Sprintf("ended: more than %d processes and threads at once", most), nil)
}
