package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// policyReport is what policy show --json prints.
type policyReport struct {
	Schema string            `json:"schema"` // kiln.policy/v1
	Digest string            `json:"digest"`
	Files  map[string]string `json:"files"`
}

func (a *app) policyShowCommand() *cobra.Command {
	var ref string
	var source bool
	cmd := &cobra.Command{
		Use:   "show [--policy PATH|REF] [--source]",
		Short: "Print the digest and the files of the policy that gates promotions here",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.policyShow(cmd.Context(), ref, source) },
	}
	cmd.Flags().StringVar(&ref, "policy", "", policyFlagHelp)
	cmd.Flags().BoolVar(&source, "source", false, "print the files themselves")
	return cmd
}

func (a *app) policyShow(ctx context.Context, ref string, source bool) error {
	if ref == "" && (strings.HasPrefix(a.store, "http://") || strings.HasPrefix(a.store, "https://")) {
		return withHint(exitUsage, errors.New("a server does not hand out its policy"), "kiln policy check asks it; kiln policy decisions has the one that decided")
	}
	p, err := a.policyOf(ctx, ref)
	if err != nil {
		return err
	}
	files := p.Source()
	if a.json {
		r := policyReport{Schema: "kiln.policy/v1", Digest: string(p.Digest()), Files: map[string]string{}}
		for name, text := range files {
			r.Files[name] = string(text)
		}
		return a.printJSON(r)
	}
	fmt.Fprintln(a.out, p.Digest())
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !source {
			fmt.Fprintln(a.out, name)
			continue
		}
		fmt.Fprintf(a.out, "\n# --- %s\n%s", name, files[name])
	}
	return nil
}
