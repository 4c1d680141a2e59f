package sandbox

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Profile names a set of capabilities that root has inside. Other users have
// none, and no_new_privs keeps it so. No profile lets devices be made, anything
// be mounted or other processes be traced.
type Profile string

const (
	// ProfileRun suits steps and tests: root may own, read and write any file,
	// become another user and listen on low ports.
	ProfileRun Profile = "run"
	// ProfileInstall suits maintainer scripts, which also set file
	// capabilities, change root and write audit records.
	ProfileInstall Profile = "install"
)

// capabilities are what stays in the bounding set; false for an unknown profile.
func (p Profile) capabilities() ([]uintptr, bool) {
	keep := []uintptr{
		unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_KILL,
		unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_NET_BIND_SERVICE,
	}
	switch p {
	case ProfileRun:
		return keep, true
	case ProfileInstall:
		return append(keep, unix.CAP_SETPCAP, unix.CAP_SETFCAP, unix.CAP_SYS_CHROOT, unix.CAP_AUDIT_WRITE), true
	}
	return nil, false
}

// boundCapabilities takes everything outside of the profile from the children
// of this thread: a program executed by root gets what the bounding set holds.
// The thread itself keeps what it needs to change the user.
func boundCapabilities(profile Profile) error {
	keep, _ := profile.capabilities()
	for c := uintptr(0); c <= 63; c++ {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
		if err != nil {
			break // beyond the kernel's last capability
		}
		if held == 0 || slices.Contains(keep, c) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("clear inheritable capabilities: %w", err)
	}
	return nil
}

// hasCapability tells whether this thread has c in effect.
func hasCapability(c int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	return data[c/32].Effective&(1<<(c%32)) != 0
}
