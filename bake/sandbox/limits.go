package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// setLimits sets the umask and the resource limits, which are the same on every
// machine as far as its own hard limits allow.
func (p *firstProcess) setLimits() error {
	unix.Umask(0o022)
	fileSize := uint64(unix.RLIM_INFINITY)
	if p.Spec.Limits.MaxFileBytes > 0 {
		fileSize = uint64(p.Spec.Limits.MaxFileBytes)
	}
	limits := []struct {
		name       string
		resource   int
		soft, hard uint64
	}{
		{"core", unix.RLIMIT_CORE, 0, 0},
		{"nofile", unix.RLIMIT_NOFILE, 1024, 524288},
		{"stack", unix.RLIMIT_STACK, 8 << 20, unix.RLIM_INFINITY},
		{"fsize", unix.RLIMIT_FSIZE, fileSize, fileSize},
		{"cpu", unix.RLIMIT_CPU, unix.RLIM_INFINITY, unix.RLIM_INFINITY},
		{"as", unix.RLIMIT_AS, unix.RLIM_INFINITY, unix.RLIM_INFINITY},
		{"data", unix.RLIMIT_DATA, unix.RLIM_INFINITY, unix.RLIM_INFINITY},
	}
	for _, l := range limits {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(l.resource, &now); err != nil {
			return fmt.Errorf("read limit %s: %w", l.name, err)
		}
		want := syscall.Rlimit{Cur: l.soft, Max: l.hard}
		if now == want {
			continue
		}
		err := syscall.Setrlimit(l.resource, &want)
		if err == unix.EPERM { // only more privilege raises a hard limit
			want.Max = min(l.hard, now.Max)
			want.Cur = min(l.soft, want.Max)
			err = syscall.Setrlimit(l.resource, &want)
		}
		if err != nil {
			return fmt.Errorf("set limit %s: %w", l.name, err)
		}
	}
	return nil
}

// minProcesses is the least pid_max the kernel takes (RESERVED_PIDS + 1).
const minProcesses = 301

// limitProcesses bounds the process ids of our pid namespace. It must run while
// /proc/sys is writable.
func (p *firstProcess) limitProcesses() error {
	if p.Spec.Limits.MaxProcesses <= 0 || !namespacedPidMax() {
		return nil
	}
	n := max(p.Spec.Limits.MaxProcesses, minProcesses)
	return os.WriteFile("/proc/sys/kernel/pid_max", []byte(strconv.Itoa(n)), 0)
}

// namespacedPidMax: before Linux 6.14 pid_max is the whole machine's and not
// ours to touch.
func namespacedPidMax() bool { return kernelAtLeast(6, 14) }

func kernelAtLeast(major, minor int) bool {
	a, b := kernelVersion()
	return a > major || a == major && b >= minor
}

// kernelVersion is the running kernel's version, 0.0 if it cannot be told.
func kernelVersion() (major, minor int) {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return 0, 0
	}
	fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor)
	return major, minor
}
