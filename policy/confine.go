package policy

import (
	"fmt"
	"runtime/debug"
	"syscall"
)

// MaxMemory is what the process of an isolated policy may allocate, in bytes.
const MaxMemory = 512 << 20

// processName is the name of that process.
const processName = "kiln-policy"

// confine takes from this process what the evaluation of a policy has no use
// for. Limits that are lower already stay.
func confine() error {
	debug.SetMemoryLimit(MaxMemory * 3 / 4)
	debug.SetMaxStack(MaxMemory / 4)
	for _, l := range []struct {
		name     string
		resource int
		max      uint64
	}{
		{"memory", syscall.RLIMIT_DATA, MaxMemory},
		{"processor time", syscall.RLIMIT_CPU, 2 * uint64(Timeout.Seconds())},
		{"open files", syscall.RLIMIT_NOFILE, 0},
		{"core files", syscall.RLIMIT_CORE, 0},
		{"written bytes", syscall.RLIMIT_FSIZE, 0},
	} {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(l.resource, &now); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		limit := min(now.Cur, now.Max, l.max)
		if err := syscall.Setrlimit(l.resource, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return nil
}
