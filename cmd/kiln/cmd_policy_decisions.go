package main

import (
	"context"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

func (a *app) policyDecisionsCommand() *cobra.Command {
	var req promotion.DecisionsRequest
	var record string
	cmd := &cobra.Command{
		Use:   "decisions IMAGE [--record RECORD]",
		Short: "List what was decided about an image's promotions, newest first",
		Long: "decisions lists what was decided about an image's promotions and rollbacks, allowed and denied, newest first.\n" +
			"With --record and --json it prints one with its facts, its policy and its signed record: what kiln policy replay\n" +
			"takes as a file, without the store.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Image, req.Record = args[0], digest.Digest(record)
			return a.policyDecisions(cmd.Context(), req)
		},
	}
	cmd.Flags().StringVar(&record, "record", "", "only this one: the digest of a record of the ledger, or of a decision")
	cmd.Flags().IntVar(&req.Limit, "limit", 0, "how many to list at most")
	cmd.Flags().StringVar(&req.Cursor, "cursor", "", "go on where a listing ended (its \"next\")")
	return cmd
}

func (a *app) policyDecisions(ctx context.Context, req promotion.DecisionsRequest) error {
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	list, err := b.ops.Decisions(ctx, req)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	rows := [][]string{{"AT", "ACTION", "CHANNEL", "DIGEST", "BY", "DECISION", "RECORD OR ID"}}
	for _, d := range list.Decisions {
		name := d.Record
		if name == "" {
			name = d.ID
		}
		rows = append(rows, []string{
			d.At.UTC().Format(time.RFC3339), string(d.Action), d.Channel, shortDigest(string(d.Digest)), shortDigest(d.By), decided(d), string(name),
		})
	}
	return a.printTable(rows)
}

// decided is a decision in a word, with the rules that refused.
func decided(d promotion.Decision) string {
	if !d.Denied() {
		return "allowed"
	}
	var rules []string
	for _, r := range append(d.Reasons, d.Refusals...) {
		rules = append(rules, r.Rule)
	}
	return "denied (" + strings.Join(rules, ", ") + ")"
}
