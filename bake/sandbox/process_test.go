package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

func TestExit(t *testing.T) {
	root := Root{Lowers: []string{tree(t, map[string]string{"bin/text": "no program", "bin/dir/": ""})}}
	for name, c := range map[string]struct {
		args         []string
		code, signal int
		text         string
	}{
		"code":       {[]string{"/bin/guest", "exit", "3"}, 3, 0, "/bin/guest: exit status 3"},
		"signal":     {[]string{"/bin/guest", "kill", "15"}, 143, 15, "/bin/guest: ended by SIGTERM"},
		"terminated": {[]string{"/bin/guest", "kill", "9"}, 137, 9, "/bin/guest: ended by SIGKILL"},
		"absent":     {[]string{"nothing"}, 127, 0, "nothing: not found in the root's PATH"},
		"no file":    {[]string{"/no/file"}, 127, 0, "/no/file: no such file in the root"},
		"text":       {[]string{"/bin/text"}, 126, 0, "/bin/text: cannot be executed: permission denied"},
		"directory":  {[]string{"/bin/dir"}, 126, 0, "/bin/dir: cannot be executed: permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			e := exitError(t, Run(context.Background(), Spec{Root: root, Args: c.args}))
			if e.Code != c.code || int(e.Signal) != c.signal || !strings.HasPrefix(e.Error(), c.text) || e.TimedOut {
				t.Errorf("got %+v %v", e, e)
			}
		})
	}
	if err := Run(context.Background(), Spec{Root: root, Args: []string{"guest", "true"}}); err != nil {
		t.Errorf("a command from PATH: %v", err)
	}
}

func TestStreams(t *testing.T) {
	root := Root{Lowers: []string{tree(t, nil)}}
	r := runGuest(t, Spec{Root: root, Stdin: strings.NewReader(strings.Repeat("in", 1<<20))}, "copy", ";", "warn", "oops")
	if r.err != nil || len(r.stdout) != 2<<20 || r.stderr != "oops\n" {
		t.Errorf("got %v, %d bytes, %q", r.err, len(r.stdout), r.stderr)
	}
	// A reader that never ends does not keep the run from ending.
	blocked, hold := io.Pipe()
	defer hold.Close()
	same(t, "blocked stdin", output(t, Spec{Root: root, Stdin: blocked}, "echo", "x"), "x\n")
	var both strings.Builder
	spec := Spec{Root: root, Stdout: &both, Stderr: &both, Args: []string{"/bin/guest", "echo", "a", ";", "warn", "b", ";", "echo", "c"}}
	if err := Run(context.Background(), spec); err != nil {
		t.Fatal(err)
	}
	same(t, "both", both.String(), "a\nb\nc\n")
	spec = Spec{Root: root, Stdout: failingWriter{}, Args: []string{"/bin/guest", "echo", "a"}}
	if err := Run(context.Background(), spec); !errors.Is(err, errFull) {
		t.Errorf("a failing writer gives %v", err)
	}
}

var errFull = errors.New("full")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errFull }

// Processes left behind hold the output pipes; they die and nothing waits.
func TestOrphansDie(t *testing.T) {
	before := runtime.NumGoroutine()
	begun := time.Now()
	same(t, "output", output(t, Spec{Root: Root{Lowers: []string{tree(t, nil)}}}, "orphans", ";", "echo", "done"), "done\n")
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("took %s", d)
	}
	if left := running(t); left > 0 {
		t.Errorf("%d processes are left", left)
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, before it were %d", runtime.NumGoroutine(), before)
}

// Many at once, on one lower, do not get in each other's way.
func TestParallelRuns(t *testing.T) {
	lower := tree(t, nil)
	var group errgroup.Group
	for i := range 24 {
		root := writable(t, lower)
		group.Go(func() error {
			var out strings.Builder
			err := Run(context.Background(), Spec{Root: root, Stdout: &out, Args: []string{"/bin/guest", "write", "/x", fmt.Sprint(i), ";", "cat", "/x"}})
			if err == nil && out.String() != fmt.Sprint(i) {
				err = fmt.Errorf("run %d printed %q", i, &out)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// running counts the guests that run on this machine.
func running(t testing.TB) int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range links {
		if target, err := os.Readlink(l); err == nil && target == "/bin/guest" {
			n++
		}
	}
	return n
}

func TestEnds(t *testing.T) {
	root := Root{Lowers: []string{tree(t, nil)}}
	hang := Spec{Root: root, Args: []string{"/bin/guest", "orphans", ";", "sleep", "100"}}
	cancelled, cancel := context.WithCancel(context.Background())
	time.AfterFunc(300*time.Millisecond, cancel)
	deadline, stop := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer stop()
	timeout := hang
	timeout.Timeout = 300 * time.Millisecond
	for name, c := range map[string]struct {
		ctx      context.Context
		spec     Spec
		timedOut bool
		is       error
		text     string
	}{
		"timeout":  {context.Background(), timeout, true, nil, "timed out after 300ms"},
		"deadline": {deadline, hang, true, context.DeadlineExceeded, "ended: context deadline exceeded"},
		"cancel":   {cancelled, hang, false, context.Canceled, "ended: context canceled"},
	} {
		begun := time.Now()
		err := Run(c.ctx, c.spec)
		if errors.Is(err, c.is) && c.is != nil && time.Since(begun) < 50*time.Millisecond {
			continue // the context ended during another case
		}
		e := exitError(t, err)
		if e.TimedOut != c.timedOut || e.Signal != syscall.SIGKILL || !strings.HasSuffix(e.Error(), c.text) || c.is != nil && !errors.Is(e, c.is) {
			t.Errorf("%s: got %+v", name, e)
		}
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("%s took %s", name, d)
		}
	}
	if left := running(t); left > 0 {
		t.Errorf("%d processes are left", left)
	}
	if err := Run(cancelled, hang); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context gives %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	spec := Spec{Root: writable(t, tree(t, map[string]string{"tmp/": ""})), Limits: Limits{MaxFileBytes: 8 << 20}}
	if e := exitError(t, runGuest(t, spec, "fill", "/big").err); e.Signal != syscall.SIGXFSZ && e.Code != 1 {
		t.Errorf("a file that is too large: %+v", e)
	}
	if st, err := os.Stat(filepath.Join(spec.Root.Upper, "big")); err != nil || st.Size() > 8<<20 {
		t.Errorf("the file: %v %v", st, err)
	}
	spec.Limits = Limits{MinFreeBytes: 1 << 60}
	if e := exitError(t, runGuest(t, spec, "sleep", "100").err); !strings.Contains(e.Error(), "must stay free") {
		t.Errorf("a full disk: %v", e)
	}
	spec.Limits, spec.Tmpfs = Limits{TmpfsBytes: 4 << 20}, []string{"/tmp"}
	r := runGuest(t, spec, "fill", "/tmp/big")
	if exitError(t, r.err).Code != 1 || !strings.Contains(r.stderr, "no space left") {
		t.Errorf("a full tmpfs: %v %s", r.err, r.stderr)
	}
}

func TestDial(t *testing.T) {
	p, err := Start(context.Background(), Spec{Root: Root{Lowers: []string{tree(t, nil)}}, Args: []string{"/bin/guest", "serve", "127.0.0.1:8080"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	client := http.Client{Transport: &http.Transport{DialContext: p.Dial}, Timeout: 5 * time.Second}
	var body []byte
	for range 100 {
		res, err := client.Get("http://localhost:8080/healthz")
		if err == nil {
			body, _ = io.ReadAll(res.Body)
			res.Body.Close()
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	same(t, "body", string(body), "hello /healthz")
	if c, err := net.DialTimeout("tcp", "127.0.0.1:8080", time.Second); err == nil {
		c.Close()
		t.Error("the server can be reached from outside")
	}
	if _, err := p.Dial(context.Background(), "tcp", "example.com:80"); err == nil {
		t.Error("a name was dialled")
	}
	p.Stop()
	if e := exitError(t, p.Wait()); e.Reason != "stopped" {
		t.Errorf("after Stop: %v", e)
	}
	if _, err := p.Dial(context.Background(), "tcp", "127.0.0.1:8080"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dial after the end: %v", err)
	}
}

// kill -9 of the process that runs a sandbox ends the sandbox.
func TestDiesWithParent(t *testing.T) {
	base := t.TempDir()
	put(t, base, "shared/", "")
	lower := tree(t, nil)
	cmd := exec.Command("/proc/self/exe", "helper-beat", lower, filepath.Join(base, "shared"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the sandbox to run", func() bool { return len(names(t, filepath.Join(base, "shared"))) == 2 })
	if running(t) == 0 {
		t.Fatal("no guest is running")
	}
	cmd.Process.Kill()
	cmd.Wait()
	waitFor(t, "the sandbox to end", func() bool { return running(t) == 0 })
}

func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for range 500 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("waited in vain for " + what)
}

func TestBadSpecs(t *testing.T) {
	root := Root{Lowers: []string{"/"}}
	for want, spec := range map[string]Spec{
		"no command given":                 {Root: root},
		`network "bridge"`:                 {Root: root, Args: []string{"x"}, Network: "bridge"},
		`unknown profile "all"`:            {Root: root, Args: []string{"x"}, Profile: "all"},
		`"x\x00" holds a NUL byte`:         {Root: root, Args: []string{"x\x00"}},
		`or is not UTF-8`:                  {Root: root, Args: []string{"x"}, Env: []string{"A=\xff"}},
		`mount target "tmp"`:               {Root: root, Args: []string{"x"}, Tmpfs: []string{"tmp"}},
		`mount /x: unknown type "nfs"`:     {Root: root, Args: []string{"x"}, Mounts: []Mount{{Target: "/x", Type: "nfs"}}},
		`mount target "/"`:                 {Root: root, Args: []string{"x"}, Tmpfs: []string{"/"}},
		`mount /x: bad source ""`:          {Root: root, Args: []string{"x"}, Mounts: []Mount{{Target: "/x"}}},
		fmt.Sprint("at most ", maxLowers):  {Root: Root{Lowers: make([]string, 1000)}, Args: []string{"x"}},
		"lower directory has an empty nam": {Root: Root{Lowers: []string{""}}, Args: []string{"x"}},
	} {
		if err := Run(context.Background(), spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want …%s…", err, want)
		}
	}
}
