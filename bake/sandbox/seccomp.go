package sandbox

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data (linux/seccomp.h); both architectures are
// little-endian, so an argument's low half comes first.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArg0   = 16
)

// filter is a program for the kernel's classic BPF machine. It allows what it
// does not name: capabilities, namespaces and mounts are the walls, the filter
// keeps the command from parts of the kernel that it has no business with.
type filter struct {
	code []unix.SockFilter
}

func (f *filter) add(code uint16, jt, jf uint8, k uint32) {
	f.code = append(f.code, unix.SockFilter{Code: code, Jt: jt, Jf: jf, K: k})
}

func (f *filter) load(offset uint32) { f.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0, 0, offset) }

func (f *filter) ret(k uint32) { f.add(unix.BPF_RET|unix.BPF_K, 0, 0, k) }

// answer returns errno if the loaded value is nr; 0 means success without
// doing anything.
func (f *filter) answer(nr uintptr, errno unix.Errno) {
	f.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 0, 1, uint32(nr))
	f.ret(unix.SECCOMP_RET_ERRNO | uint32(errno))
}

// answerFlag returns errno if syscall nr has a bit of mask in its first argument.
func (f *filter) answerFlag(nr uintptr, mask uint32, errno unix.Errno) {
	f.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 0, 4, uint32(nr))
	f.load(offsetArg0)
	f.add(unix.BPF_JMP|unix.BPF_JSET|unix.BPF_K, 0, 1, mask)
	f.ret(unix.SECCOMP_RET_ERRNO | uint32(errno))
	f.load(offsetNumber)
}

// answerUnless returns errno if syscall nr has a first argument that is none of
// those allowed.
func (f *filter) answerUnless(nr uintptr, allowed []uint32, errno unix.Errno) {
	n := uint8(len(allowed))
	f.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 0, n+3, uint32(nr))
	f.load(offsetArg0)
	for i, a := range allowed {
		f.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, n-uint8(i), 0, a)
	}
	f.ret(unix.SECCOMP_RET_ERRNO | uint32(errno))
	f.load(offsetNumber)
}

// newFilter assembles the sandbox's filter.
func newFilter() []unix.SockFilter {
	var f filter
	f.load(offsetArch)
	f.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 1, 0, auditArch)
	f.ret(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)) // another architecture's calls have other numbers
	f.load(offsetNumber)
	f.add(unix.BPF_JMP|unix.BPF_JGE|unix.BPF_K, 0, 1, 0x40000000) // x32
	f.ret(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS))
	f.answerFlag(unix.SYS_CLONE, unix.CLONE_NEWUSER, unix.EPERM)
	f.answerFlag(unix.SYS_UNSHARE, unix.CLONE_NEWUSER, unix.EPERM)
	f.answer(unix.SYS_CLONE3, unix.ENOSYS) // its flags are out of reach; libraries fall back to clone
	// vsock and other families know no network namespace.
	families := []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}
	f.answerUnless(unix.SYS_SOCKET, families, unix.EAFNOSUPPORT)
	for _, nr := range refusedCalls() {
		f.answer(nr, unix.EPERM)
	}
	for _, nr := range emptyCalls() {
		f.answer(nr, 0)
	}
	f.ret(unix.SECCOMP_RET_ALLOW)
	return f.code
}

// refusedCalls fail with EPERM.
func refusedCalls() []uintptr {
	return append(archRefusedCalls(),
		unix.SYS_ACCT, unix.SYS_ADD_KEY, unix.SYS_ADJTIMEX, unix.SYS_BPF, unix.SYS_CLOCK_ADJTIME,
		unix.SYS_CLOCK_SETTIME, unix.SYS_DELETE_MODULE, unix.SYS_FANOTIFY_INIT, unix.SYS_FINIT_MODULE,
		unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSOPEN, unix.SYS_FSPICK, unix.SYS_INIT_MODULE,
		unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_IO_URING_SETUP,
		unix.SYS_KEXEC_FILE_LOAD, unix.SYS_KEXEC_LOAD, unix.SYS_KEYCTL, unix.SYS_LOOKUP_DCOOKIE,
		unix.SYS_MOUNT, unix.SYS_MOUNT_SETATTR, unix.SYS_MOVE_MOUNT, unix.SYS_NFSSERVCTL,
		unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_OPEN_TREE, unix.SYS_PERF_EVENT_OPEN, unix.SYS_PIVOT_ROOT,
		unix.SYS_QUOTACTL, unix.SYS_REBOOT, unix.SYS_REQUEST_KEY, unix.SYS_SETNS, unix.SYS_SETTIMEOFDAY,
		unix.SYS_SWAPOFF, unix.SYS_SWAPON, unix.SYS_SYSLOG, unix.SYS_UMOUNT2, unix.SYS_USERFAULTFD,
		unix.SYS_VHANGUP,
	)
}

// emptyCalls succeed and do nothing: no tree of ours needs to survive a power
// cut, and dpkg would wait for the disk after every file.
func emptyCalls() []uintptr {
	return []uintptr{unix.SYS_FDATASYNC, unix.SYS_FSYNC, unix.SYS_SYNC, unix.SYS_SYNC_FILE_RANGE, unix.SYS_SYNCFS}
}

// installFilter sets no_new_privs and the filter for this thread and its
// children. A kernel without seccomp goes without; Check tells.
func installFilter() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	if !hasSeccomp() {
		return nil
	}
	code := newFilter()
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(code)
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return nil
}

// hasSeccomp asks the kernel for its filters: it takes a null program as a bad
// address where it knows them.
func hasSeccomp() bool {
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, 0, 0, 0) == unix.EFAULT
}
