package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"kiln/bake/sandbox"
)

// exited is the outcome of a command that ran in another process, which has
// reported its own errors.
type exited struct{ code int }

func (e *exited) Error() string { return "exited" }

// asRoot runs do where files of any owner can be made: here as root, else once
// more in a user namespace in which the caller is root.
func (a *app) asRoot(ctx context.Context, do func() error) error {
	defer secondSignal(ctx)()
	if os.Geteuid() == 0 {
		return do()
	}
	code, err := sandbox.Unshare(ctx, sandbox.Command{
		Args: os.Args, Env: os.Environ(), Stdin: a.plain.in, Stdout: a.plain.out, Stderr: a.plain.err,
	})
	if err != nil || code == 0 {
		return err
	}
	return &exited{code}
}

// signalsSettle is how long after a signal others count as the same one: a
// terminal sends it to us and to our child, and we send it on.
const signalsSettle = 500 * time.Millisecond

// secondSignal has the signal after the one that ended ctx kill this process at
// once. What that leaves behind, the next bake sweeps.
func secondSignal(ctx context.Context) (forget func() bool) {
	return context.AfterFunc(ctx, func() {
		time.Sleep(signalsSettle)
		signal.Reset(os.Interrupt, syscall.SIGTERM)
	})
}
