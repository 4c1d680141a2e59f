package sandbox

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ExitError says how a command ended that did not end well. Errors of any other
// type mean that the sandbox itself could not be made or was lost.
type ExitError struct {
	// Command is the first argument.
	Command string
	// Code is the exit status; 127 when the command was not found and 126 when
	// it could not be executed (Reason says why), as a shell has it, and 128
	// plus the signal's number when one ended it.
	Code int
	// Signal is what ended the command, else 0.
	Signal syscall.Signal
	// TimedOut: the spec's timeout or the context's deadline passed.
	TimedOut bool
	// Reason is set when kiln ended the command or could not execute it.
	Reason string
	// Err is the context's error when that ended the command.
	Err error
}

// Error implements error.
func (e *ExitError) Error() string {
	switch {
	case e.Reason != "":
		return fmt.Sprintf("%s: %s", e.Command, e.Reason)
	case e.Signal != 0:
		return fmt.Sprintf("%s: ended by %s", e.Command, unix.SignalName(e.Signal))
	default:
		return fmt.Sprintf("%s: exit status %d", e.Command, e.Code)
	}
}

// Unwrap is the context's error, if that ended the command.
func (e *ExitError) Unwrap() error { return e.Err }

// killed is the ExitError of a command that kiln ended.
func killed(reason string, err error) *ExitError {
	return &ExitError{Code: 128 + int(unix.SIGKILL), Signal: unix.SIGKILL, Reason: reason, Err: err}
}

func timedOut(after time.Duration) *ExitError {
	e := killed(fmt.Sprintf("timed out after %s", after), nil)
	e.TimedOut = true
	return e
}

// SetupError says which step of making the sandbox failed, and why.
type SetupError struct {
	Step string
	Err  error
}

// Error implements error.
func (e *SetupError) Error() string { return "sandbox: " + e.Step + ": " + e.Err.Error() }

// Unwrap is the cause.
func (e *SetupError) Unwrap() error { return e.Err }
