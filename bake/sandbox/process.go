package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a running sandbox.
type Process struct {
	spec     Spec
	cmd      *exec.Cmd
	lifeline *os.File // closed: the sandbox ends
	reports  *os.File
	decoder  *json.Decoder
	made     []string
	copied   *copiedRoot // nil: the root is no copy
	group    string      // the control group; "" without one
	counter  *counter

	stopOnce sync.Once
	stopped  chan struct{}
	done     chan struct{}
	err      error // of Wait; set before done is closed

	mu    sync.Mutex
	netns *os.File // nil with the host's network, and once it is over
}

// Run runs the spec's command to its end. It returns an *ExitError when the
// command failed or was ended, a *SetupError when the sandbox could not be made.
// When it returns, nothing of the sandbox is running any more.
func Run(ctx context.Context, spec Spec) error {
	p, err := Start(ctx, spec)
	if err != nil {
		return err
	}
	return p.Wait()
}

// Start starts the spec's command and returns once it is running. The caller
// must call Wait or Stop. The context bounds the whole life of the command. It
// returns an *ExitError when the command cannot be executed, a *SetupError when
// the sandbox cannot be made.
func Start(ctx context.Context, spec Spec) (*Process, error) {
	spec, err := spec.normalised()
	if err != nil {
		return nil, err
	}
	o := order{Spec: spec, UserNS: InUserNamespace()}
	if spec.Limits.MaxProcesses > 0 {
		o.Limiter = chooseLimiter(o.UserNS)
	}
	if spec.Root.Copy && len(spec.Root.Lowers) > 0 {
		return startCopied(ctx, o)
	}
	p, err := start(ctx, o)
	if overlayRefused(err) && spec.Root.Work != "" {
		return startCopied(ctx, o)
	}
	return p, err
}

func start(ctx context.Context, o order) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	begun := time.Now()
	p, err := launch(o)
	if err != nil {
		return nil, &SetupError{Step: "start", Err: err}
	}
	if err := p.await(ctx); err != nil {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.release()
		return nil, err
	}
	p.copied = o.copied
	if o.Limiter != "" && !o.uncounted {
		p.counter = newCounter(p.cmd.Process.Pid)
	}
	go p.supervise(ctx, begun)
	return p, nil
}

// launch starts the first process and hands it its order.
func launch(o order) (*Process, error) {
	orderR, orderW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer orderR.Close()
	reportR, reportW, err := os.Pipe()
	if err != nil {
		orderW.Close()
		return nil, err
	}
	defer reportW.Close()
	p := &Process{
		spec: o.Spec, lifeline: orderW, reports: reportR, decoder: json.NewDecoder(reportR),
		stopped: make(chan struct{}), done: make(chan struct{}),
	}
	p.cmd = first(o.Spec, orderR, reportW)
	stdin, err := feed(p.cmd, o.Spec.Stdin)
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		p.release()
		return nil, hintNamespaces(err)
	}
	if stdin != nil {
		go func() { io.Copy(stdin, o.Spec.Stdin); stdin.Close() }()
	}
	err = p.openNetwork()
	if err == nil && o.Limiter == byCgroup {
		// Without it there is still the counting.
		p.group, _ = newGroup(p.cmd.Process.Pid, o.Spec.Limits.MaxProcesses+slack)
	}
	if err == nil {
		err = json.NewEncoder(orderW).Encode(o)
	}
	if err != nil {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.release()
		return nil, err
	}
	return p, nil
}

// first is the command that becomes the sandbox's first process.
func first(spec Spec, orderR, reportW *os.File) *exec.Cmd {
	flags := unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP
	if spec.Network == NetworkNone {
		flags |= unix.CLONE_NEWNET
	}
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{sandboxName}, Env: []string{"GOGC=off"}, Dir: "/",
		ExtraFiles: []*os.File{orderR, reportW},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: uintptr(flags),
			Setsid:     true, // a terminal's signals are for kiln, which ends us in order
		},
		WaitDelay: 10 * time.Second,
	}
	// The writers are hidden in a struct so that a file or terminal of the
	// caller is copied to through a pipe and never inherited.
	if spec.Stdout != nil {
		cmd.Stdout = &writer{spec.Stdout}
	}
	if spec.Stderr != nil {
		cmd.Stderr = &writer{spec.Stderr}
		if sameWriter(spec.Stdout, spec.Stderr) {
			cmd.Stderr = cmd.Stdout
		}
	}
	return cmd
}

type writer struct{ io.Writer }

func sameWriter(a, b io.Writer) (same bool) {
	defer func() { recover() }() // not comparable: not the same
	return a == b
}

// feed prepares the pipe for stdin; a nil one means there is nothing to feed.
func feed(cmd *exec.Cmd, stdin io.Reader) (io.WriteCloser, error) {
	if stdin == nil {
		return nil, nil
	}
	return cmd.StdinPipe()
}

// await returns when the command runs, or with the reason why it does not.
func (p *Process) await(ctx context.Context) error {
	release := context.AfterFunc(ctx, func() { p.cmd.Process.Kill() })
	defer release()
	for {
		var r report
		if err := p.decoder.Decode(&r); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("sandbox: %w", context.Cause(ctx))
			}
			state, _ := p.cmd.Process.Wait()
			return &SetupError{Step: "start", Err: fmt.Errorf("the first process ended early (%v)", state)}
		}
		switch {
		case r.Made != nil:
			p.made = r.Made
		case r.Error != "":
			return setupError(r)
		case r.Exited && r.Reason != "":
			return p.exitError(r)
		case r.Started:
			return nil
		}
	}
}

func setupError(r report) error {
	err := errors.New(r.Error)
	if r.Errno != 0 {
		err = fmt.Errorf("%s%w", trimErrno(r.Error, syscall.Errno(r.Errno)), syscall.Errno(r.Errno))
	}
	return &SetupError{Step: r.Step, Err: err}
}

// Wait waits for the end of the command; nil when it exited with 0. It may be
// called more than once.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Stop ends everything in the sandbox and waits until it is gone. It returns nil
// however the command ended; Wait has the details.
func (p *Process) Stop() error {
	p.stopOnce.Do(func() { close(p.stopped) })
	<-p.done
	return nil
}
