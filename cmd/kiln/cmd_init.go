package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kiln/templates"
)

func (a *app) initCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "init DIR [--template NAME]",
		Short: "Write a project that bakes at once",
		Long:  "init writes a template with an application into DIR. Templates: " + strings.Join(templates.Names(), ", ") + ".",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return a.initProject(cmd.Context(), args[0], name) },
	}
	cmd.Flags().StringVar(&name, "template", templates.Default, "which template")
	return cmd
}

func (a *app) initProject(ctx context.Context, dir, name string) error {
	err := templates.Write(ctx, dir, name, a.err)
	if errors.Is(err, templates.ErrUnknown) {
		return usagef("%v", err)
	}
	if err != nil {
		return err
	}
	a.say("next: kiln bake %s", dir)
	_, err = fmt.Fprintln(a.out, dir)
	return err
}
