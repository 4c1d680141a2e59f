package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

func (a *app) trustCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Say which keys may bake, promote and approve which images",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.trustList(cmd.Context()) },
	}
	cmd.AddCommand(a.trustAddCommand(), a.trustRemoveCommand(), &cobra.Command{
		Use:   "list",
		Short: "List the keys",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.trustList(cmd.Context()) },
	})
	return cmd
}

func (a *app) trustAddCommand() *cobra.Command {
	var role, image string
	cmd := &cobra.Command{
		Use:   "add KEY.pub --role bake|promote|approve [--image PATTERN]",
		Short: "List a public key",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.trustAdd(cmd.Context(), args[0], promotion.TrustRequest{Role: promotion.Role(role), Image: image})
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "what the key may do (required)")
	cmd.Flags().StringVar(&image, "image", "", `images it may do it for, such as "acme/*" (default all)`)
	return cmd
}

func (a *app) trustAdd(ctx context.Context, file string, req promotion.TrustRequest) error {
	if req.Role == "" {
		return usagef("trust add needs --role bake, promote or approve")
	}
	pem, err := publicKey(ctx, file)
	if err != nil {
		return err
	}
	b, err := a.open(ctx, purpose{create: true})
	if err != nil {
		return err
	}
	defer b.Close()
	req.Key = string(pem)
	entry, err := b.ops.AddTrust(ctx, req)
	if err != nil {
		return err
	}
	return a.printTrust([]promotion.TrustEntry{entry})
}

func (a *app) trustRemoveCommand() *cobra.Command {
	var role, image string
	cmd := &cobra.Command{
		Use:   "remove KEY.pub|KEY-ID [--role R] [--image PATTERN]",
		Short: "Strike a key off",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.trustRemove(cmd.Context(), args[0], promotion.TrustRequest{Role: promotion.Role(role), Image: image})
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "only in this role")
	cmd.Flags().StringVar(&image, "image", "", "only for this pattern")
	return cmd
}

func (a *app) trustRemove(ctx context.Context, key string, req promotion.TrustRequest) error {
	if strings.HasPrefix(key, "sha256:") {
		req.KeyID = key
	} else {
		pem, err := publicKey(ctx, key)
		if err != nil {
			return err
		}
		req.Key = string(pem)
	}
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	left, err := b.ops.RemoveTrust(ctx, req)
	if err != nil {
		return err
	}
	return a.printTrust(left.Entries)
}

func (a *app) trustList(ctx context.Context) error {
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	t, err := b.ops.Trust(ctx)
	if err != nil {
		return err
	}
	return a.printTrust(t.Entries)
}

func (a *app) printTrust(entries []promotion.TrustEntry) error {
	if a.json {
		return a.printJSON(promotion.Trust{Schema: promotion.TrustSchema, Entries: entries})
	}
	rows := [][]string{{"ROLE", "KEY", "IMAGES", "SINCE"}}
	for _, e := range entries {
		rows = append(rows, []string{string(e.Role), e.KeyID, e.Image, e.AddedAt.UTC().Format(time.RFC3339)})
	}
	return a.printTable(rows)
}
