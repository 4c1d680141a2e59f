package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

func (a *app) restoreCommand() *cobra.Command {
	var req promotion.RestoreRequest
	var key string
	cmd := &cobra.Command{
		Use:   "restore IMAGE@DIGEST --reason R",
		Short: "Take a revocation back, be it in force or yet to come",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.restoreVersion(cmd.Context(), args[0], req, key)
		},
	}
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, for the ledger (required)")
	cmd.Flags().StringVar(&key, "promotion-key", "", "private key that signs the record (KILN_PROMOTION_KEY)")
	return cmd
}

func (a *app) restoreVersion(ctx context.Context, ref string, req promotion.RestoreRequest, key string) error {
	if req.Reason == "" {
		return usagef("restore needs --reason")
	}
	named, err := storeRef(ref)
	if err != nil {
		return err
	}
	b, err := a.open(ctx, purpose{promote: true, promotionKey: key})
	if err != nil {
		return err
	}
	defer b.Close()
	req.Image = named.Name
	if req.Digest, err = a.fix(ctx, b.registry, named); err != nil {
		return err
	}
	r, err := b.ops.Restore(ctx, req)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(r)
	}
	_, err = fmt.Fprintf(a.out, "%s@%s restored (sequence %d, record %s)\n", r.Image, r.Digest, r.Sequence, r.Record)
	return err
}
