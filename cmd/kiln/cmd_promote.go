package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

func (a *app) promoteCommand() *cobra.Command {
	var req promotion.PromoteRequest
	var key, gate string
	cmd := &cobra.Command{
		Use:   "promote IMAGE@DIGEST --to CHANNEL",
		Short: "Move a channel to a digest, if policy allows it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.promote(cmd.Context(), args[0], req, purpose{promote: true, promotionKey: key, policy: gate})
		},
	}
	cmd.Flags().StringVar(&req.Channel, "to", "", "the channel to move (required)")
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, for the ledger")
	cmd.Flags().StringVar(&req.Expect, "expect", "", "the digest that the channel must hold now, or none")
	cmd.Flags().StringVar(&key, "promotion-key", "", "private key that signs the record (KILN_PROMOTION_KEY)")
	cmd.Flags().StringVar(&gate, "policy", "", policyFlagHelp)
	return cmd
}

func (a *app) promote(ctx context.Context, ref string, req promotion.PromoteRequest, use purpose) error {
	if req.Channel == "" {
		return usagef("promote needs --to CHANNEL")
	}
	v, err := a.openVersion(ctx, ref, use)
	if err != nil {
		return err
	}
	defer v.Close()
	req.Image, req.Digest = v.image, v.digest
	p, err := v.ops.Promote(ctx, req)
	if err != nil {
		return err
	}
	return a.printPromotion(p)
}

// warnRevoked tells who moved a channel to what was revoked at that moment.
func (a *app) warnRevoked(p promotion.Promotion) {
	if p.RevokedBecause == "" {
		return
	}
	a.say("warning: %s holds it and answers nothing: it was revoked meanwhile: %s", p.Channel, p.RevokedBecause)
	a.say("hint: kiln rollback %s --channel %s, or promote another version", p.Image, p.Channel)
}

// printPromotion reports the outcome of promote and rollback.
func (a *app) printPromotion(p promotion.Promotion) error {
	if p.RecordedKey != "" {
		a.say("first promotion of this store: recorded the promotion key %s in its trust", p.RecordedKey)
	}
	if p.Unchanged {
		a.say("%s of %s holds this digest already; this is the existing record", p.Channel, p.Image)
	}
	a.warnRevoked(p)
	if a.json {
		return a.printJSON(p)
	}
	_, err := fmt.Fprintf(a.out, "%s %s -> %s (sequence %d, record %s)\n", p.Image, p.Channel, p.Digest, p.Sequence, p.Record)
	return err
}
