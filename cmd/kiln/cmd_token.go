package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kiln/registry/access"
	"kiln/registry/promotion"
)

func (a *app) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make, list and revoke the robot tokens of a server's store",
		Long: "A robot token is a secret for a program: KILN_TOKEN for kiln, or the password of docker login with\n" +
			"the user name \"token\". It may do what its grant says, until it expires or is revoked.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.tokenList(cmd.Context()) },
	}
	cmd.AddCommand(a.tokenCreateCommand(), &cobra.Command{
		Use:   "list",
		Short: "List the tokens, without their secrets",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.tokenList(cmd.Context()) },
	}, &cobra.Command{
		Use:   "revoke NAME|ID",
		Short: "Revoke a token, and every session made of it, at once",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return a.tokenRevoke(cmd.Context(), args[0]) },
	})
	return cmd
}

// tokenOptions are the flags of kiln token create.
type tokenOptions struct {
	images, verbs, channels []string
	expires                 string
}

func (a *app) tokenCreateCommand() *cobra.Command {
	var o tokenOptions
	var verbs []string
	for _, v := range access.Verbs() {
		verbs = append(verbs, string(v))
	}
	cmd := &cobra.Command{
		Use:   "create NAME --image PATTERN... --verb VERB... [--channel PATTERN...] [--expires 90d]",
		Short: "Make a token and print its secret, this once",
		Long: "The verbs are " + strings.Join(verbs, ", ") + ".\n" +
			"Patterns are like acme/shop, acme/* and ** (everything); gc and admin need **.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.tokenCreate(cmd.Context(), args[0], o) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.images, "image", nil, "images it is for (required)")
	f.StringSliceVar(&o.verbs, "verb", nil, "what it may do (required)")
	f.StringSliceVar(&o.channels, "channel", nil, "channels it may promote to, approve for and roll back")
	f.StringVar(&o.expires, "expires", "90d", "its lifetime, such as 12h or 90d; at most 366d")
	return cmd
}

func (a *app) tokenCreate(ctx context.Context, name string, o tokenOptions) error {
	if len(o.images) == 0 || len(o.verbs) == 0 {
		return usagef("token create needs --image and --verb: without them a token may do nothing")
	}
	req := promotion.TokenRequest{Name: name, Grants: []promotion.Grant{{Images: o.images, Channels: o.channels}}}
	for _, v := range o.verbs {
		req.Grants[0].Verbs = append(req.Grants[0].Verbs, promotion.Verb(v))
	}
	if err := req.Lifetime.UnmarshalText([]byte(o.expires)); err != nil {
		return usagef("--expires: %v", err)
	}
	b, err := a.open(ctx, purpose{create: true})
	if err != nil {
		return err
	}
	defer b.Close()
	t, err := b.tokens.CreateToken(ctx, req)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(t)
	}
	a.say("token %s (%s) expires %s; its secret is not shown again", t.Name, t.ID, t.ExpiresAt.UTC().Format(time.RFC3339))
	_, err = fmt.Fprintln(a.out, string(t.Token))
	return err
}

// tokenID tells an id from a name.
var tokenID = regexp.MustCompile(`^[0-9a-f]{20}$`)

func (a *app) tokenRevoke(ctx context.Context, which string) error {
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	req := promotion.RevokeTokenRequest{Name: which}
	if tokenID.MatchString(which) {
		req = promotion.RevokeTokenRequest{ID: which}
	}
	gone, err := b.tokens.RevokeToken(ctx, req)
	if err != nil {
		return err
	}
	if !a.json {
		for _, t := range gone.Tokens {
			a.say("revoked %s", t.Name)
		}
		return nil
	}
	return a.printTokens(gone)
}

func (a *app) tokenList(ctx context.Context) error {
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	list, err := b.tokens.ListTokens(ctx)
	if err != nil {
		return err
	}
	return a.printTokens(list)
}

func (a *app) printTokens(list promotion.TokenList) error {
	if a.json {
		return a.printJSON(list)
	}
	rows := [][]string{{"NAME", "ID", "MAY", "EXPIRES", "BY"}}
	for _, t := range list.Tokens {
		rows = append(rows, []string{t.Name, t.ID, describeGrants(t.Grants), t.ExpiresAt.UTC().Format(time.RFC3339), t.CreatedBy})
	}
	return a.printTable(rows)
}

// describeGrants is pull,push acme/* for each grant.
func describeGrants(grants []promotion.Grant) string {
	var list []string
	for _, g := range grants {
		verbs := make([]string, 0, len(g.Verbs))
		for _, v := range g.Verbs {
			verbs = append(verbs, string(v))
		}
		text := strings.Join(verbs, ",") + " " + strings.Join(g.Images, ",")
		if len(g.Channels) > 0 {
			text += " to " + strings.Join(g.Channels, ",")
		}
		list = append(list, text)
	}
	return strings.Join(list, "; ")
}
