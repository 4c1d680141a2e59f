package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is this executable, started again in a user namespace.
type Command struct {
	// Args are all arguments, the program's name first; usually os.Args.
	Args []string
	// Env is the whole environment; usually os.Environ().
	Env            []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Mapping is what the ids of a user namespace are outside of it: root is UID
// and GID; 1, 2, 3… are SubUID, SubUID+1… and SubGID, SubGID+1…, Count of them.
type Mapping struct {
	UID, GID       int
	SubUID, SubGID int
	Count          int
}

// fullCount is how many ids besides root an image may use: 1 to 65535.
const fullCount = 65535

const (
	// parentEnv tells the new process whose death to die with.
	parentEnv = "KILN_SANDBOX_PARENT"
	// exitUnshare is the status when the namespace could not be entered.
	exitUnshare = 71
)

// InUserNamespace tells whether this process lives in a user namespace other
// than the machine's first one.
func InUserNamespace() bool {
	content, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(content))
	return len(fields) != 3 || fields[0] != "0" || fields[1] != "0" || fields[2] != "4294967295"
}

// Unshare runs this executable again as root of a new user namespace whose ids
// are the caller's own and those that /etc/subuid and /etc/subgid give it,
// mapped by newuidmap and newgidmap. In there the whole of this package works.
// It returns the exit status of the new process, which dies with this one. A
// *HintError says what the host lacks.
func Unshare(ctx context.Context, c Command) (exit int, err error) {
	uidMap, gidMap, err := subordinateMaps()
	if err != nil {
		return 0, err
	}
	goR, goW, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer goR.Close()
	defer goW.Close()
	inner := c
	inner.Args = append([]string{userNSName}, c.Args...)
	return run(ctx, inner, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}, []*os.File{goR},
		func(pid int) error {
			if err := writeMaps(ctx, pid, uidMap, gidMap); err != nil {
				return err
			}
			_, err := goW.Write([]byte{1})
			return err
		})
}

// UnshareMapped is Unshare for a caller that is root already and chooses the
// ids itself: what runs inside has no power over anything that the mapping does
// not name.
func UnshareMapped(ctx context.Context, c Command, m Mapping) (exit int, err error) {
	if m.Count < fullCount {
		return 0, fmt.Errorf("sandbox: mapping of %d ids: want at least %d", m.Count, fullCount)
	}
	return run(ctx, c, &syscall.SysProcAttr{
		Cloneflags:                 unix.CLONE_NEWUSER,
		UidMappings:                []syscall.SysProcIDMap{{HostID: m.UID, Size: 1}, {ContainerID: 1, HostID: m.SubUID, Size: m.Count}},
		GidMappings:                []syscall.SysProcIDMap{{HostID: m.GID, Size: 1}, {ContainerID: 1, HostID: m.SubGID, Size: m.Count}},
		GidMappingsEnableSetgroups: true,
		Credential:                 &syscall.Credential{},
	}, nil, func(int) error { return nil })
}

// run starts the executable again and waits for it. When ctx ends, the process
// is asked to terminate, and killed ten seconds later.
func run(ctx context.Context, c Command, attr *syscall.SysProcAttr, files []*os.File, started func(pid int) error) (int, error) {
	// The new process dies with this thread, which therefore must last.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	attr.Pdeathsig = unix.SIGKILL
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args, cmd.SysProcAttr, cmd.ExtraFiles = c.Args, attr, files
	cmd.Env = append(c.Env[:len(c.Env):len(c.Env)], parentEnv+"="+strconv.Itoa(os.Getpid()))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return 0, hintUserNS(err)
	}
	if err := started(cmd.Process.Pid); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return 0, err
	}
	err := cmd.Wait()
	var exitErr *exec.ExitError
	if err != nil && !errors.As(err, &exitErr) {
		return 0, fmt.Errorf("sandbox: user namespace: %w", err)
	}
	ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return ws.ExitStatus(), nil
}

// enterUserNamespace is the second half of Unshare, inside: once the ids are
// mapped, executing anew makes this process root. It returns only on errors.
func enterUserNamespace() error {
	ready := os.NewFile(orderFD, "ready")
	if n, _ := ready.Read(make([]byte, 1)); n != 1 {
		return errors.New("sandbox: user namespace: no ids were mapped")
	}
	ready.Close()
	return fmt.Errorf("sandbox: user namespace: %w", syscall.Exec("/proc/self/exe", os.Args[1:], os.Environ()))
}

// finishUnshare runs in every process that Unshare started: becoming root has
// reset the signal of the parent's death and closed /proc/self to ourselves.
func finishUnshare() {
	parent := os.Getenv(parentEnv)
	if parent == "" || len(os.Args) > 0 && os.Args[0] == userNSName {
		return
	}
	os.Unsetenv(parentEnv)
	unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
	if strconv.Itoa(os.Getppid()) != parent {
		os.Exit(exitUnshare)
	}
}
