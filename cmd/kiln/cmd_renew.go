package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

func (a *app) renewCommand() *cobra.Command {
	var req promotion.RenewRequest
	var key string
	cmd := &cobra.Command{
		Use:   "renew [IMAGE] [--channel C]",
		Short: "Sign the statements of channels anew, before they expire",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				req.Image = args[0]
			}
			return a.renew(cmd.Context(), req, key)
		},
	}
	cmd.Flags().StringVar(&req.Channel, "channel", "", "only this channel")
	cmd.Flags().StringVar(&key, "promotion-key", "", "private key that signs (KILN_PROMOTION_KEY)")
	return cmd
}

func (a *app) renew(ctx context.Context, req promotion.RenewRequest, key string) error {
	b, err := a.open(ctx, purpose{promote: true, promotionKey: key})
	if err != nil {
		return err
	}
	defer b.Close()
	r, err := b.ops.Renew(ctx, req)
	if err != nil {
		return err
	}
	for _, left := range r.Revoked {
		a.say("%s %s: not renewed, %s is revoked", left.Image, left.Channel, left.Digest)
	}
	if a.json {
		return a.printJSON(r)
	}
	for _, n := range r.Renewed {
		fmt.Fprintf(a.out, "%s %s %s until %s\n", n.Image, n.Channel, n.Digest, n.Expires.UTC().Format(time.RFC3339))
	}
	return nil
}
