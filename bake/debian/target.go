package debian

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// Runner runs one command inside a target tree, as root, with /proc and /dev
// there, and waits for it and for everything that it started. A command that
// ends other than with exit status 0 is an error. ctx ends the command.
type Runner interface {
	Run(ctx context.Context, cmd, env []string, stdin io.Reader, out io.Writer) error
}

// Target is the tree that packages are installed in.
type Target struct {
	// Upper is the directory that receives files. It may be empty.
	Upper string
	// Lowers are the trees below it, bottom first, as overlayfs shows them;
	// none for a base.
	Lowers []string
	// Runner runs commands in Lowers and Upper together.
	Runner Runner
}

// ScriptError says that a maintainer script or dpkg failed or did not end.
type ScriptError struct {
	// Package and Script are empty when the output does not tell.
	Package string
	Script  string
	// Output is the end of what was printed, at most 20 lines.
	Output string
	Err    error
}

func (e *ScriptError) Error() string {
	text := "configure packages"
	if e.Package != "" {
		text = "package " + e.Package
	}
	if e.Script != "" {
		text += ": " + e.Script + " script"
	}
	text = fmt.Sprintf("%s: %v", text, e.Err)
	if e.Output != "" {
		text += "; its last output:\n    " + strings.ReplaceAll(e.Output, "\n", "\n    ")
	}
	return text
}

func (e *ScriptError) Unwrap() error { return e.Err }
