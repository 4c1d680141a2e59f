package sandbox

import (
	"context"
	"fmt"
	"os"
	"testing"

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
	}
	return 98
}

func clearCloseOnExec(t testing.TB, f *os.File) {
	t.Helper()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
}
