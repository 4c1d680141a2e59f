package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"kiln/bake"
)

// stdio is where a command reads and writes: out is data, err is talk.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// app is what every command gets: streams, environment, global flags.
type app struct {
	stdio
	getenv func(string) string
	plain  stdio       // as given: err without the status line, out as it is
	status *statusLine // nil unless err is a terminal
	store  string      // --store
	json   bool        // --json
	events *jsonEvents // where what is said goes during a bake with --json
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, io stdio, getenv func(string) string) int {
	a := &app{stdio: io, getenv: getenv, plain: io}
	a.out = shownOut(io.out)
	if a.status = newStatusLine(io.err, getenv); a.status != nil {
		a.err, io.err = a.status, a.status
	}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if elsewhere := (*exited)(nil); errors.As(err, &elsewhere) {
		return elsewhere.code
	}
	a.report(err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	return exitCode(err)
}

// report prints an error and its hints for a person; several, each by itself.
func (a *app) report(err error) {
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(a.err, "kiln: error: interrupted")
		return
	}
	if several := (bake.Errors)(nil); errors.As(err, &several) {
		for _, err := range several {
			a.report(err)
		}
		return
	}
	fmt.Fprintf(a.err, "kiln: error: %s\n", below(err.Error()))
	for _, hint := range append(hints(err), a.registryHints(err)...) {
		fmt.Fprintf(a.err, "kiln: hint: %s\n", below(hint))
	}
}

// say prints a line of talk.
func (a *app) say(format string, args ...any) {
	if a.events != nil {
		a.events.message(fmt.Sprintf(format, args...))
		return
	}
	fmt.Fprintf(a.err, "kiln: %s\n", below(fmt.Sprintf(format, args...)))
}

// working shows on a terminal what goes on until the next line of talk.
func (a *app) working(format string, args ...any) {
	if a.status != nil && a.err == a.status && a.events == nil { // else others write there
		a.status.show(cell(fmt.Sprintf("kiln: "+format+" …", args...)))
	}
}

// root builds the command tree.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "kiln",
		Short: "Bake, sign, store and promote machine and container images",
		Long: "kiln bakes layered machine and container images, signs them, stores them by digest,\n" +
			"and promotes them through channels that deployers follow.\n\n" + exitHelp(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&a.store, "store", a.getenv("KILN_STORE"),
		"where versions live: a folder, s3://bucket/prefix, or the http(s)://host:port of kiln serve (KILN_STORE; default $XDG_DATA_HOME/kiln)")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print one JSON object instead of text")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v (see %s --help)", err, cmd.CommandPath())
	})
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(a.commands()...)
	root.SetHelpCommand(helpCommand())
	wrapArgs(root)
	return root
}

// wrapArgs turns cobra's complaints about arguments into usage errors.
func wrapArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			err := check(c, args)
			if err != nil && len(args) > 0 && c.HasSubCommands() {
				return unknownCommand(c, args[0])
			}
			if err != nil && !errors.As(err, new(*usageError)) {
				return usagef("%s: %v (usage: %s)", c.CommandPath(), err, strings.TrimSpace(c.UseLine()))
			}
			return err
		}
	}
	for _, sub := range cmd.Commands() {
		wrapArgs(sub)
	}
}

// helpCommand is cobra's, but for an error where a command is unknown.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, left, err := cmd.Root().Find(args)
			if err != nil || len(left) > 0 {
				return unknownCommand(cmd.Root(), strings.Join(args, " "))
			}
			return found.Help()
		},
	}
}

// unknownCommand says which command may have been meant.
func unknownCommand(c *cobra.Command, word string) error {
	c.SuggestionsMinimumDistance = 2 // letters that are wrong
	var meant []string
	for _, name := range c.SuggestionsFor(word) {
		meant = append(meant, "did you mean "+c.CommandPath()+" "+name+"?")
	}
	err := usagef("%s: unknown command %q (see %s --help)", c.CommandPath(), word, c.CommandPath())
	return withHint(exitUsage, err, meant...)
}
