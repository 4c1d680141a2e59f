package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

func (a *app) deleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete IMAGE@DIGEST|IMAGE:TAG",
		Short: "Remove a version, unless something needs it",
		Long: "delete removes a version with its tags, signatures and attestations. Its version tags are never used\n" +
			"again. It refuses (exit 3) what a channel holds or held, what is leased, and what others were baked on.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.delete(cmd.Context(), args[0]) },
	}
}

func (a *app) delete(ctx context.Context, ref string) error {
	named, err := storeRef(ref)
	if err != nil {
		return err
	}
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	d, err := a.fix(ctx, b.registry, named)
	if err != nil {
		return err
	}
	out, err := b.ops.Delete(ctx, promotion.DeleteRequest{Image: named.Name, Digest: d})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(out)
	}
	_, err = fmt.Fprintf(a.out, "%s@%s deleted, with %d attached (tags: %s)\n", out.Image, out.Digest, len(out.Attached), strings.Join(out.Tags, " "))
	if err == nil {
		a.say("kiln gc wins back its bytes")
	}
	return err
}
