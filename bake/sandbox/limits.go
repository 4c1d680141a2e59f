package sandbox

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// limit is one resource limit.
type limit struct {
	name       string
	resource   int
	soft, hard uint64
}

// setLimits sets the umask and the resource limits, which are the same on every
// machine as far as its own hard limits allow.
func (p *firstProcess) setLimits() error {
	unix.Umask(0o022)
	fileSize := uint64(unix.RLIM_INFINITY)
	if p.Spec.Limits.MaxFileBytes > 0 {
		fileSize = uint64(p.Spec.Limits.MaxFileBytes)
	}
	limits := []limit{
		{"core", unix.RLIMIT_CORE, 0, 0},
		{"nofile", unix.RLIMIT_NOFILE, 1024, 524288},
		{"stack", unix.RLIMIT_STACK, 8 << 20, unix.RLIM_INFINITY},
		{"fsize", unix.RLIMIT_FSIZE, fileSize, fileSize},
		{"cpu", unix.RLIMIT_CPU, unix.RLIM_INFINITY, unix.RLIM_INFINITY},
		{"as", unix.RLIMIT_AS, unix.RLIM_INFINITY, unix.RLIM_INFINITY},
		{"data", unix.RLIMIT_DATA, unix.RLIM_INFINITY, unix.RLIM_INFINITY},
	}
	if p.Limiter == byRlimit {
		n := uint64(p.Spec.Limits.MaxProcesses + slack)
		limits = append(limits, limit{"nproc", unix.RLIMIT_NPROC, n, n})
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
