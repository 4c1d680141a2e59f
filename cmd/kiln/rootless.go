package main

import (
	"context"
	"os"

	"kiln/bake/sandbox"
)

// exited is the outcome of a command that ran in another process, which has
// reported its own errors.
type exited struct{ code int }

func (e *exited) Error() string { return "exited" }

// asRoot runs do where files of any owner can be made: here as root, else once
// more in a user namespace in which the caller is root.
func (a *app) asRoot(ctx context.Context, do func() error) error {
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
