package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kiln/registry/promotion"
	"kiln/registry/promotion/trustfile"
)

func (a *app) trustCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Say which keys and identities may bake, promote and approve which images",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.trustList(cmd.Context()) },
	}
	cmd.AddCommand(a.trustAddCommand(), a.trustExpireCommand(), a.trustRemoveCommand(), a.trustRootCommand(), &cobra.Command{
		Use:   "list",
		Short: "List the keys and identities",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.trustList(cmd.Context()) },
	}, &cobra.Command{
		Use:   "export",
		Short: "Print what the store trusts as a trust.hcl, for deployers to review and keep",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.trustExport(cmd.Context()) },
	})
	return cmd
}

// trustExpireCommand ends the time of a key: with trust add of its successor,
// that is a rotation.
func (a *app) trustExpireCommand() *cobra.Command {
	var req promotion.TrustRequest
	var role, at string
	cmd := &cobra.Command{
		Use:   "expire KEY|ID [--at TIME] [--role R] [--image PATTERN]",
		Short: "Let a key or an identity sign until a time, now if none is named",
		Long: "expire puts an end to the time of a key or an identity. What it signed before stays good where a timestamp,\n" +
			"a log or the ledger proves when that was.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Role = promotion.Role(role)
			return a.trustExpire(cmd.Context(), args[0], at, req)
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "the end, such as 2026-12-31 or 2026-12-31T18:00:00Z")
	cmd.Flags().StringVar(&role, "role", "", "only in this role")
	cmd.Flags().StringVar(&req.Image, "image", "", "only for this pattern")
	return cmd
}

func (a *app) trustExpire(ctx context.Context, name, at string, req promotion.TrustRequest) error {
	end := time.Now().UTC().Truncate(time.Second)
	if at != "" {
		var err error
		if end, err = trustfile.ParseDate(at, true); err != nil {
			return usagef("--at: %v", err)
		}
	}
	id, err := trustedID(ctx, name)
	if err != nil {
		return err
	}
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	t, err := b.ops.Trust(ctx)
	if err != nil {
		return err
	}
	meant := slices.DeleteFunc(slices.Clone(t.Entries), func(e promotion.TrustEntry) bool {
		return e.KeyID != id || req.Role != "" && e.Role != req.Role || req.Image != "" && e.Image != req.Image
	})
	if err := afterBegin(meant, at, end); err != nil {
		return err
	}
	var done []promotion.TrustEntry
	for _, e := range meant {
		e, err := b.ops.AddTrust(ctx, promotion.TrustRequest{Role: e.Role, Key: e.Key, Identity: e.Identity, Image: e.Image, NotAfter: &end})
		if err != nil {
			return err
		}
		done = append(done, e)
	}
	if len(done) == 0 {
		return withHint(exitNotFound, fmt.Errorf("the trust has no such entry for %s", id), "kiln trust list shows them")
	}
	return a.printTrust(promotion.Trust{Entries: done})
}

// afterBegin refuses an end that was named, at, and lies before an entry begins.
func afterBegin(list []promotion.TrustEntry, at string, end time.Time) error {
	for _, e := range list {
		from := e.AddedAt
		if e.NotBefore != nil {
			from = *e.NotBefore
		}
		if at != "" && end.Before(from) {
			err := usagef("--at %s: the entry to %s %s begins %s, so that would be never", at, e.Role, e.Image, from.UTC().Format(time.RFC3339))
			return withHint(exitUsage, err, "kiln trust remove strikes it off; kiln trust add with --not-before and --not-after says another time")
		}
	}
	return nil
}

func (a *app) trustRemoveCommand() *cobra.Command {
	var role, image string
	cmd := &cobra.Command{
		Use:   "remove KEY|ID [--role R] [--image PATTERN]",
		Short: "Strike a key or an identity off: nothing it ever signed counts",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.trustRemove(cmd.Context(), args[0], promotion.TrustRequest{Role: promotion.Role(role), Image: image})
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "only in this role")
	cmd.Flags().StringVar(&image, "image", "", "only for this pattern")
	return cmd
}

func (a *app) trustRemove(ctx context.Context, name string, req promotion.TrustRequest) error {
	var err error
	if req.KeyID, err = trustedID(ctx, name); err != nil {
		return err
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
	return a.printTrust(left)
}

// trustedID is the id of a key in a file or a key service, or the id itself.
func trustedID(ctx context.Context, name string) (string, error) {
	if strings.HasPrefix(name, "sha256:") || strings.HasPrefix(name, "identity:") {
		return name, nil
	}
	pem, err := publicKey(ctx, name)
	if err != nil {
		return "", err
	}
	return promotion.TrustEntry{Key: string(pem)}.Principal().ID()
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
	return a.printTrust(t)
}

func (a *app) printTrust(t promotion.Trust) error {
	t.Schema = promotion.TrustSchema
	if a.json {
		return a.printJSON(t)
	}
	rows := [][]string{{"ROLE", "KEY", "IMAGES", "CHANNELS", "FROM", "UNTIL"}}
	for _, e := range t.Entries {
		from, until, channels := e.AddedAt, "-", "-"
		if e.NotBefore != nil {
			from = *e.NotBefore
		}
		if e.NotAfter != nil {
			until = e.NotAfter.UTC().Format(time.RFC3339)
		}
		if len(e.Channels) > 0 {
			channels = strings.Join(e.Channels, ",")
		}
		rows = append(rows, []string{string(e.Role), shown(e.KeyID), e.Image, channels, from.UTC().Format(time.RFC3339), until})
	}
	if len(t.Root) > 0 {
		a.say("the store has a Sigstore trusted root (%d bytes)", len(t.Root))
	}
	return a.printTable(rows)
}
