package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Exit codes of commands that could not be executed, as a shell has them.
const (
	codeNotExecutable = 126
	codeNotFound      = 127
)

// runCommand drops what the command must not have, starts it, and returns how
// it ended.
func (p *firstProcess) runCommand() report {
	id, err := lookUpUser(p.Spec.User)
	if err != nil {
		return report{Exited: true, Code: codeNotExecutable, Reason: err.Error()}
	}
	if st, err := os.Stat(p.Spec.Dir); err != nil || !st.IsDir() {
		return report{Exited: true, Code: codeNotExecutable, Reason: "no directory " + p.Spec.Dir + " in the root"}
	}
	env := completeEnv(p.Spec.Env, id.home)
	path, err := lookUpCommand(p.Spec.Args[0], p.Spec.Dir, env)
	if err != nil {
		return report{Exited: true, Code: codeNotFound, Reason: err.Error()}
	}
	giveOutput(id)
	if err := ownMounts(); err != nil {
		return report{Step: "mounts", Error: err.Error()}
	}
	if err := p.confine(); err != nil {
		return report{Step: "confine", Error: err.Error()}
	}
	pid, err := execute(path, p.Spec.Args, &syscall.ProcAttr{
		Dir: p.Spec.Dir, Env: env, Files: []uintptr{0, 1, 2},
		Sys: &syscall.SysProcAttr{Credential: id.credential(), Setsid: true},
	})
	if err != nil {
		reason := fmt.Sprintf("cannot be executed: %v", err)
		if errors.Is(err, unix.ENOENT) {
			reason += " (its interpreter is missing in the root)"
		}
		return report{Exited: true, Code: codeNotExecutable, Reason: reason}
	}
	p.reports.Encode(report{Started: true})
	closeOutput()
	return reap(pid)
}

// execute starts a program. One that was unpacked a moment ago may still be open
// for writing in a child that kiln is just forking for something else.
func execute(path string, args []string, attr *syscall.ProcAttr) (pid int, err error) {
	for range 50 {
		if pid, err = syscall.ForkExec(path, args, attr); !errors.Is(err, unix.ETXTBSY) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return pid, err
}

// ownMounts gives the command mounts of its own, the same as process 1 has. By
// this ischroot(1) sees that it is not the system that process 1 booted:
// maintainer scripts then leave init alone, for which libc6's would wait a
// second.
func ownMounts() error {
	return unix.Unshare(unix.CLONE_NEWNS)
}

// confine bounds the capabilities and system calls of this thread's children
// and closes our own /proc entries, with kiln's executable, to them.
func (p *firstProcess) confine() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return err
	}
	if err := boundCapabilities(p.Spec.Profile); err != nil {
		return err
	}
	return installFilter()
}

// reap waits for the command and for every orphan that ends before it.
func reap(command int) report {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WALL, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return report{Step: "wait", Error: err.Error()}
		case pid != command:
		case ws.Signaled():
			return report{Exited: true, Signal: int(ws.Signal())}
		case ws.Exited():
			return report{Exited: true, Code: ws.ExitStatus()}
		}
	}
}

// completeEnv adds PATH and HOME where they are missing.
func completeEnv(env []string, home string) []string {
	env = append([]string{}, env...)
	if _, ok := lookUpEnv(env, "PATH"); !ok {
		env = append(env, "PATH="+defaultPath)
	}
	if _, ok := lookUpEnv(env, "HOME"); !ok {
		env = append(env, "HOME="+home)
	}
	return env
}

func lookUpEnv(env []string, key string) (value string, ok bool) {
	for _, e := range env {
		if k, v, found := strings.Cut(e, "="); found && k == key {
			value, ok = v, true
		}
	}
	return value, ok
}

// lookUpCommand finds a command in PATH of env.
func lookUpCommand(name, dir string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		full := name
		if !filepath.IsAbs(name) {
			full = filepath.Join(dir, name)
		}
		if _, err := os.Stat(full); err != nil {
			return "", errors.New("no such file in the root")
		}
		return full, nil
	}
	path, _ := lookUpEnv(env, "PATH")
	for _, d := range filepath.SplitList(path) {
		if !filepath.IsAbs(d) {
			d = filepath.Join(dir, d)
		}
		full := filepath.Join(d, name)
		if st, err := os.Stat(full); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return full, nil
		}
	}
	return "", fmt.Errorf("not found in the root's PATH (%s)", path)
}

// giveOutput makes the pipes of kiln the user's own, so that /dev/stdout can be
// opened by it too.
func giveOutput(id identity) {
	for fd := 0; fd <= 2; fd++ {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
			unix.Fchown(fd, int(id.uid), int(id.gid))
		}
	}
}

// closeOutput lets go of the command's pipes, so that their ends are seen when
// the command closes them.
func closeOutput() {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	for fd := 0; fd <= 2; fd++ {
		unix.Dup3(null, fd, unix.O_CLOEXEC)
	}
	unix.Close(null)
}
