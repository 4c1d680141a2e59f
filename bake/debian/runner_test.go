package debian

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// chrootRunner runs commands in a chroot with its own mount and pid
// namespaces, with the host's /dev and a new /proc.
type chrootRunner struct {
	dir    string // for work directories
	target *Target
	env    []string // more variables
}

const chrootScript = `set -e
root=$1 lowers=$2 upper=$3 work=$4
shift 4
mount --make-rprivate /
if [ -n "$lowers" ]; then
	mount -t overlay overlay -o "lowerdir=$lowers,upperdir=$upper,workdir=$work" "$root"
else
	mount --bind "$upper" "$root"
fi
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
exec chroot "$root" "$@"`

func (r chrootRunner) Run(ctx context.Context, cmd, env []string, stdin io.Reader, out io.Writer) error {
	var lowers []string
	for i := len(r.target.Lowers) - 1; i >= 0; i-- {
		lowers = append(lowers, r.target.Lowers[i])
	}
	root, work := r.dir+"/root", r.dir+"/work"
	for _, dir := range []string{root, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	args := []string{"--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "sh", "-c", chrootScript, "sh",
		root, strings.Join(lowers, ":"), r.target.Upper, work}
	c := exec.CommandContext(ctx, "unshare", append(args, cmd...)...)
	c.Env = append(append([]string(nil), env...), r.env...)
	c.Stdin, c.Stdout, c.Stderr = stdin, out, out
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c.Run()
}

// newTarget is a target with an empty upper directory on the given trees.
func newTarget(t testing.TB, lowers ...string) Target {
	t.Helper()
	return targetIn(t, t.TempDir(), lowers...)
}

func targetIn(t testing.TB, dir string, lowers ...string) Target {
	t.Helper()
	upper := dir + "/upper"
	if err := os.Mkdir(upper, 0o755); err != nil {
		t.Fatal(err)
	}
	target := &Target{Upper: upper, Lowers: lowers}
	target.Runner = chrootRunner{dir: dir, target: target}
	return *target
}
