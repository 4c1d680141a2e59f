package main

import (
	"context"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

func (a *app) rollbackCommand() *cobra.Command {
	var req promotion.RollbackRequest
	var to, key, gate string
	cmd := &cobra.Command{
		Use:   "rollback IMAGE --channel C [--to DIGEST]",
		Short: "Move a channel back to what it held before",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Image, req.To = args[0], digest.Digest(to)
			return a.rollback(cmd.Context(), req, purpose{promote: true, promotionKey: key, policy: gate})
		},
	}
	cmd.Flags().StringVar(&req.Channel, "channel", "", "the channel to move (required)")
	cmd.Flags().StringVar(&to, "to", "", "a digest that the channel held (default: the newest that was neither revoked nor rolled back from)")
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, for the ledger")
	cmd.Flags().StringVar(&req.Expect, "expect", "", "the digest that the channel must hold now")
	cmd.Flags().StringVar(&key, "promotion-key", "", "private key that signs the record (KILN_PROMOTION_KEY)")
	cmd.Flags().StringVar(&gate, "policy", "", policyFlagHelp)
	return cmd
}

func (a *app) rollback(ctx context.Context, req promotion.RollbackRequest, use purpose) error {
	if req.Channel == "" {
		return usagef("rollback needs --channel")
	}
	b, err := a.open(ctx, use)
	if err != nil {
		return err
	}
	defer b.Close()
	p, err := b.ops.Rollback(ctx, req)
	if err != nil {
		return err
	}
	return a.printPromotion(p)
}
