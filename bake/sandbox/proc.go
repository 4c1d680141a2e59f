package sandbox

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// procReadOnly are parts of /proc through which the machine could be changed.
func procReadOnly() []string {
	return []string{"/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger"}
}

// procMasked are parts of /proc that tell about the machine.
func procMasked() []string {
	return []string{
		"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/kmsg", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/kallsyms", "/proc/kpagecount",
		"/proc/kpageflags", "/proc/kpagecgroup",
	}
}

// maskProc makes the first kind read-only and covers the second with nothing.
// What this kernel lacks is left out. /dev must be there.
func maskProc() error {
	const attrs = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	for _, name := range procReadOnly() {
		if err := bindTo(name, name, attrs); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	for _, name := range procMasked() {
		if err := mask(name); err != nil {
			return err
		}
	}
	return nil
}

// mask covers a directory with an empty one, anything else with /dev/null.
func mask(name string) error {
	st, err := os.Lstat(name)
	if err != nil {
		return nil
	}
	if !st.IsDir() {
		return bindTo("/dev/null", name, 0)
	}
	fd, err := newFS("tmpfs", "mode", "555", "size", "4k")
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := addAttrs(fd, unix.MOUNT_ATTR_RDONLY); err != nil {
		return err
	}
	return attach(fd, name)
}
