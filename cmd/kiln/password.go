package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// newPassword asks for a password twice on a terminal, without showing it, and
// reads it from stdin otherwise.
func (a *app) newPassword(ctx context.Context, user string) (string, error) {
	f, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return readPassword(a.in)
	}
	first, err := a.prompt(ctx, f, "New password of "+user+": ")
	if err != nil {
		return "", err
	}
	again, err := a.prompt(ctx, f, "Once more: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", usagef("the two passwords differ")
	}
	return onePassword(first)
}

// prompt reads a line from a terminal that does not show it. An interrupt
// leaves the terminal as it was.
func (a *app) prompt(ctx context.Context, f *os.File, text string) (string, error) {
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", err
	}
	fmt.Fprint(a.err, text)
	defer fmt.Fprintln(a.err)
	type line struct {
		text []byte
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(int(f.Fd()))
		typed <- line{text, err}
	}()
	select {
	case l := <-typed:
		return string(l.text), l.err
	case <-ctx.Done():
		return "", errors.Join(context.Cause(ctx), term.Restore(int(f.Fd()), before))
	}
}

// readPassword reads what is piped in: one line, or all of it.
func readPassword(r io.Reader) (string, error) {
	const limit = 4 << 10 // bytes, far more than a password has
	content, err := io.ReadAll(io.LimitReader(r, limit))
	if err != nil {
		return "", err
	}
	return onePassword(string(content))
}

// onePassword takes the end of the line off.
func onePassword(s string) (string, error) {
	s = strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r")
	switch {
	case s == "":
		return "", usagef("no password: type one, or pipe it to stdin")
	case strings.ContainsAny(s, "\r\n\x00"):
		return "", usagef("the password on stdin has more than one line")
	}
	return s, nil
}
