package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

func (a *app) versionsCommand() *cobra.Command {
	var limit int
	var cursor string
	cmd := &cobra.Command{
		Use:   "versions IMAGE",
		Short: "List what was baked of an image, newest first",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.versions(cmd.Context(), promotion.VersionsRequest{Image: args[0], Limit: limit, Cursor: cursor})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "how many to list at most")
	cmd.Flags().StringVar(&cursor, "cursor", "", "go on where a listing ended (its \"next\")")
	return cmd
}

func (a *app) versions(ctx context.Context, req promotion.VersionsRequest) error {
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	list, err := b.ops.Versions(ctx, req)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	rows := [][]string{{"DIGEST", "CREATED", "TAG", "CHANNELS", "REVOKED"}}
	for _, v := range list.Versions {
		revoked := ""
		if v.Revoked {
			revoked = "revoked: " + v.RevokedBecause
		} else if v.RevokedFrom != nil {
			revoked = "to be revoked at " + v.RevokedFrom.UTC().Format(time.RFC3339) + ": " + v.RevokedBecause
		}
		rows = append(rows, []string{
			string(v.Digest), v.Created.UTC().Format(time.RFC3339), strings.Join(v.Tags, " "),
			strings.Join(v.Channels, " "), revoked,
		})
	}
	return a.printTable(rows)
}
