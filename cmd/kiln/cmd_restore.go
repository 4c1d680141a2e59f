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
	v, err := a.openVersion(ctx, ref, purpose{promote: true, promotionKey: key})
	if err != nil {
		return err
	}
	defer v.Close()
	req.Image, req.Digest = v.image, v.digest
	r, err := v.ops.Restore(ctx, req)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(r)
	}
	_, err = fmt.Fprintf(a.out, "%s@%s restored (sequence %d, record %s)\n", r.Image, r.Digest, r.Sequence, r.Record)
	return err
}
