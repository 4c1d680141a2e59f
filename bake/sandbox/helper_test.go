package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helper is the life of a test binary that a test started as another process.
func helper(args []string) int {
	switch args[0] {
	case "helper-beat": // lower, shared
		err := Run(context.Background(), Spec{
			Root: Root{Lowers: []string{args[1]}}, Mounts: []Mount{{Source: args[2], Target: "/shared"}},
			Args: []string{"/bin/guest", "beat", "/shared/beat"},
		})
		fmt.Fprintln(os.Stderr, err)
		return 1
	case "helper-chown": // file
		if err := os.WriteFile(args[1], nil, 0o644); err != nil {
			fmt.Println(err)
		}
		if err := os.Chown(args[1], 33, 33); err != nil {
			fmt.Println(err)
		}
		if _, err := os.ReadFile("/etc/shadow"); errors.Is(err, os.ErrPermission) {
			fmt.Println("read /etc/shadow: permission denied")
		}
		return 0
	case "helper-exit":
		if args[1] == "143" {
			unix.Kill(os.Getpid(), unix.SIGTERM)
			time.Sleep(time.Minute)
		}
		return 7
	case "helper-sleep":
		time.Sleep(time.Minute)
	case "helper-outer": // file
		UnshareMapped(context.Background(), Command{Args: []string{"test", "helper-inner", args[1]}, Env: os.Environ()}, mapping())
	case "helper-inner": // file
		for {
			os.WriteFile(args[1], []byte(time.Now().String()), 0o644)
			time.Sleep(10 * time.Millisecond)
		}
	case "helper-accounts": // dir with passwd, subuid and subgid, command…
		for _, name := range []string{"passwd", "subuid", "subgid"} {
			if err := unix.Mount(args[1]+"/"+name, "/etc/"+name, "", unix.MS_BIND, ""); err != nil {
				fmt.Println(name, err)
				return 1
			}
		}
		cmd := exec.Command("/proc/self/exe", args[2:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	case "helper-check": // dir
		for _, f := range Check(context.Background(), args[1]) {
			fmt.Printf("%s: %t %t %s\n", f.Name, f.OK, f.Fatal, f.Hint)
		}
		return 0
	case "helper-unshare": // rootless, as whoever we are
		exit, err := Unshare(context.Background(), Command{
			Args: append([]string{"test"}, args[1:]...), Env: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr,
		})
		if err != nil {
			fmt.Println(err)
			return 97
		}
		return exit
	case "helper-inside": // lower, base
		fmt.Println(os.Getuid(), os.Getgid(), InUserNamespace())
		var out strings.Builder
		err := Run(context.Background(), Spec{
			Root:   Root{Lowers: []string{args[1]}, Upper: args[2] + "/upper", Work: args[2] + "/work"},
			Args:   []string{"/bin/guest", "id", ";", "write", "/made", "x", ";", "try", "chown", "/made"},
			Stdout: &out,
		})
		fmt.Print(out.String(), err, "\n")
		return 0
	}
	return 98
}

func clearCloseOnExec(t testing.TB, f *os.File) {
	t.Helper()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
}
