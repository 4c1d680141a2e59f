package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

func (a *app) historyCommand() *cobra.Command {
	var req promotion.HistoryRequest
	cmd := &cobra.Command{
		Use:   "history IMAGE [--channel C]",
		Short: "List an image's ledger, newest first",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Image = args[0]
			return a.history(cmd.Context(), req)
		},
	}
	cmd.Flags().StringVar(&req.Channel, "channel", "", "only the records of this channel")
	cmd.Flags().IntVar(&req.Limit, "limit", 0, "how many to list at most")
	cmd.Flags().StringVar(&req.Cursor, "cursor", "", "go on where a listing ended (its \"next\")")
	return cmd
}

func (a *app) history(ctx context.Context, req promotion.HistoryRequest) error {
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	list, err := b.ops.History(ctx, req)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	rows := [][]string{{"SEQ", "AT", "ACTION", "CHANNEL", "DIGEST", "BY", "REASON"}}
	for _, e := range list.Entries {
		rows = append(rows, []string{
			strconv.FormatInt(e.Sequence, 10), e.At.UTC().Format(time.RFC3339), string(e.Action), e.Channel,
			string(e.Digest), shortDigest(approver(e.By, e.KeyID)), e.Reason,
		})
	}
	return a.printTable(rows)
}
