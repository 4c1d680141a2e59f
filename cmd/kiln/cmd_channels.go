package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

func (a *app) channelsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "channels IMAGE",
		Short: "List what the channels of an image hold",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return a.channels(cmd.Context(), args[0]) },
	}
}

func (a *app) channels(ctx context.Context, image string) error {
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	list, err := b.ops.Channels(ctx, promotion.ChannelsRequest{Image: image})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	rows := [][]string{{"CHANNEL", "DIGEST", "SEQUENCE", "SINCE", "BY", "STATEMENT EXPIRES", "REVOKED"}}
	for _, c := range list.Channels {
		row := []string{c.Channel, "-"}
		if c.Digest != "" {
			row = []string{c.Channel, string(c.Digest), strconv.FormatInt(c.Sequence, 10), stamp(c.PromotedAt), shortDigest(c.PromotedBy), stamp(c.Expires), c.RevokedBecause}
		}
		rows = append(rows, row)
	}
	return a.printTable(rows)
}

// stamp writes a time for a table.
func stamp(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
