package bake

import (
	"golang.org/x/sys/unix"

	"kiln/bake/sandbox"
)

// spareBytes is what a step must leave free where it writes, so that one that
// fills the disk ends, and not the machine.
const spareBytes = 64 << 20

// maxProcesses is how many processes and threads a step may have at once: more
// than any build needs, and less than a machine can bear.
const maxProcesses = 4096

// limitsOf are the limits of a step that writes to upper. A small file system
// is asked for a small part only.
func limitsOf(upper string) sandbox.Limits {
	var fs unix.Statfs_t
	if unix.Statfs(upper, &fs) != nil {
		return sandbox.Limits{MinFreeBytes: spareBytes, MaxProcesses: maxProcesses}
	}
	return sandbox.Limits{MinFreeBytes: min(spareBytes, int64(fs.Blocks)*fs.Bsize/32), MaxProcesses: maxProcesses}
}
