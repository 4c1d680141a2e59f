package main

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

// resolveOptions are the flags of kiln resolve.
type resolveOptions struct {
	channel       string
	verifyKeys    []string
	promotionKeys []string
	minSequence   int64
	maxAge        promotion.Duration
	aged          bool // --max-age was given
	format        string
}

func (a *app) resolveCommand() *cobra.Command {
	var o resolveOptions
	cmd := &cobra.Command{
		Use:   "resolve IMAGE --channel C",
		Short: "Say what a channel holds now: the deployer's question",
		Long: "resolve prints the digest that a channel holds. With --verify-key and --promotion-key it\n" +
			"checks on this side, against these public keys only, that the digest was baked and promoted\n" +
			"by you and how fresh that word is; without them nothing is verified.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.aged = cmd.Flags().Changed("max-age")
			return a.resolve(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.channel, "channel", "", "the channel to follow (required)")
	f.StringArrayVar(&o.verifyKeys, "verify-key", nil, "public key that must have baked the image (repeatable)")
	f.StringArrayVar(&o.promotionKeys, "promotion-key", nil, "public key that must have promoted it (repeatable)")
	f.Int64Var(&o.minSequence, "min-sequence", 0, "refuse statements with a lower sequence")
	f.Var((*span)(&o.maxAge), "max-age", "refuse statements issued longer ago, such as 24h or 30d")
	f.StringVar(&o.format, "format", "", "ref, json or env")
	return cmd
}

func (o resolveOptions) check() error {
	switch {
	case o.channel == "":
		return usagef("resolve needs --channel")
	case (len(o.verifyKeys) == 0) != (len(o.promotionKeys) == 0):
		return usagef("--verify-key and --promotion-key go together: one checks who baked, the other who promoted")
	case o.aged && o.maxAge <= 0:
		return usagef("--max-age 0s: want a duration above zero, such as 24h")
	case len(o.verifyKeys) == 0 && (o.minSequence != 0 || o.aged):
		return usagef("--min-sequence and --max-age need --verify-key and --promotion-key: an unverified statement proves nothing")
	}
	switch o.format {
	case "", "ref", "json", "env":
		return nil
	}
	return usagef("--format %s: want ref, json or env", o.format)
}

// resolved is what resolve prints: the answer, and whether it was verified.
type resolved struct {
	promotion.Resolution
	Verified bool `json:"verified"`
}

func (a *app) resolve(ctx context.Context, image string, o resolveOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	r, err := b.ops.Resolve(ctx, promotion.ResolveRequest{Image: image, Channel: o.channel})
	if err != nil {
		return err
	}
	if len(o.verifyKeys) > 0 {
		if err := a.verifyAnswer(ctx, b, r, image, o); err != nil {
			return err
		}
	} else {
		a.say("warning: nothing was verified (give --verify-key and --promotion-key)")
	}
	return a.printResolved(resolved{r, len(o.verifyKeys) > 0}, b.host, o.format)
}

// verifyAnswer holds the answer against the deployer's own keys.
func (a *app) verifyAnswer(ctx context.Context, b *backend, r promotion.Resolution, image string, o resolveOptions) error {
	bakers, err := publicKeys(ctx, o.verifyKeys)
	if err != nil {
		return err
	}
	promoters, err := publicKeys(ctx, o.promotionKeys)
	if err != nil {
		return err
	}
	dir, err := a.stateDir()
	if err != nil {
		return err
	}
	return promotion.VerifyResolution(ctx, r, promotion.VerifyOptions{
		Image: image, Channel: o.channel, BakeKeys: bakers, PromotionKeys: promoters,
		Seen: &promotion.Seen{Dir: dir}, MinSequence: o.minSequence, MaxAge: time.Duration(o.maxAge),
		Manifest: func(ctx context.Context, image string, d digest.Digest) ([]byte, error) {
			_, content, err := b.registry.Manifest(ctx, image, d)
			return content, err
		},
	})
}

func (a *app) printResolved(r resolved, host, format string) error {
	if format == "json" || (format == "" && a.json) {
		return a.printJSON(r)
	}
	ref := fmt.Sprintf("%s@%s", r.Image, r.Digest)
	if host != "" {
		ref = host + "/" + ref
	}
	var err error
	switch format {
	case "env":
		_, err = fmt.Fprintf(a.out, "KILN_IMAGE=%s\nKILN_CHANNEL=%s\nKILN_DIGEST=%s\nKILN_REFERENCE=%s\nKILN_SEQUENCE=%d\nKILN_VERIFIED=%t\n",
			r.Image, r.Channel, r.Digest, ref, r.Sequence, r.Verified)
	default:
		_, err = fmt.Fprintln(a.out, ref)
	}
	return err
}

// hostOf is the host:port of a server's address.
func hostOf(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || (u.Path != "" && u.Path != "/") {
		return "", usagef("--store %s: want http(s)://host:port", server)
	}
	return u.Host, nil
}
