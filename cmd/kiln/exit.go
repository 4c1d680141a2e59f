package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"text/tabwriter"

	"kiln/bake/sandbox"
	"kiln/registry/promotion"
	"kiln/registry/store"
	"kiln/sign"
)

// The exit codes: a contract with scripts.
const (
	exitDone = iota
	exitError
	exitUsage
	exitDenied
	exitUnverified
	exitConflict
	exitNotFound

	exitInterrupted = 130 // as shells say of SIGINT
)

// exitMeanings feeds the help.
var exitMeanings = []string{
	exitDone:       "done",
	exitError:      "error",
	exitUsage:      "usage",
	exitDenied:     "denied by policy or trust",
	exitUnverified: "verification failed, revoked included",
	exitConflict:   "conflict: it moved since you read it",
	exitNotFound:   "not found",
}

func exitHelp() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "Exit codes:")
	for code, meaning := range exitMeanings {
		fmt.Fprintf(w, "  %d\t%s\n", code, meaning)
	}
	fmt.Fprintf(w, "  %d\tinterrupted\n", exitInterrupted)
	w.Flush()
	return strings.TrimRight(b.String(), "\n")
}

// exitCode judges an error by its kind.
func exitCode(err error) int {
	var coded *codedError
	switch {
	case errors.As(err, new(*usageError)):
		return exitUsage
	case errors.As(err, &coded):
		return coded.code
	}
	switch {
	case errors.Is(err, sign.ErrUnsigned), errors.Is(err, sign.ErrInvalid):
		return exitUnverified
	case errors.Is(err, store.ErrNotFound):
		return exitNotFound
	}
	if code, ok := kindExit[promotion.KindOf(err)]; ok {
		return code
	}
	return exitError
}

var kindExit = map[promotion.Kind]int{
	promotion.KindInvalid:      exitUsage,
	promotion.KindDenied:       exitDenied,
	promotion.KindVerification: exitUnverified,
	promotion.KindRevoked:      exitUnverified,
	promotion.KindConflict:     exitConflict,
	promotion.KindNotFound:     exitNotFound,

	promotion.KindUnauthenticated: exitDenied,
}

// usageError is a wrong call.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

func usagef(format string, args ...any) error {
	return &usageError{msg: fmt.Sprintf(format, args...)}
}

// missingUsage makes a wrong call of a file that is not there; flag named it.
// Other errors stay.
func missingUsage(flag string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("%s: %v", flag, err)
	}
	return err
}

// codedError carries an exit code and hints.
type codedError struct {
	code  int
	err   error
	hints []string
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// withHint adds what to do to an error.
func withHint(code int, err error, hints ...string) error {
	return &codedError{code: code, err: err, hints: hints}
}

// hints collects what an error advises.
func hints(err error) []string {
	var all []string
	for ; err != nil; err = errors.Unwrap(err) {
		if c, ok := err.(*codedError); ok {
			all = append(all, c.hints...)
		}
		if h, ok := err.(*sandbox.HintError); ok {
			all = append(all, h.Hint)
		}
		if p, ok := err.(*promotion.Error); ok && p.Hint != "" {
			all = append(all, p.Hint)
		}
	}
	return all
}
