package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"kiln/registry"
	"kiln/registry/promotion"
	"kiln/registry/promotion/trustfile"
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
	trust         string
	from          string // a file with an answer; "" asks the store
}

func (a *app) resolveCommand() *cobra.Command {
	var o resolveOptions
	cmd := &cobra.Command{
		Use:   "resolve IMAGE --channel C",
		Short: "Say what a channel holds now: the deployer's question",
		Long: "resolve prints the digest that a channel holds. With --trust (or KILN_TRUST), or with --verify-key and\n" +
			"--promotion-key, it checks on this side, against what that file or these public keys say only, that the\n" +
			"digest was baked and promoted by you and how fresh that word is; without them nothing is verified.\n\n" +
			"--from FILE checks an answer that resolve --json or the server's API gave before, without a network.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.aged = cmd.Flags().Changed("max-age")
			if o.trust == "" && len(o.verifyKeys)+len(o.promotionKeys) == 0 {
				o.trust = a.getenv("KILN_TRUST")
			}
			return a.resolve(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.channel, "channel", "", "the channel to follow (required)")
	f.StringArrayVar(&o.verifyKeys, "verify-key", nil, "public key that must have baked the image (repeatable)")
	f.StringArrayVar(&o.promotionKeys, "promotion-key", nil, "public key that must have promoted it (repeatable)")
	f.StringVar(&o.trust, "trust", "", "trust file that says who may bake the image and promote it (KILN_TRUST, which --verify-key sets aside)")
	f.StringVar(&o.from, "from", "", "check the answer in this file instead of asking the store")
	f.Int64Var(&o.minSequence, "min-sequence", 0, "refuse statements with a lower sequence")
	f.Var((*span)(&o.maxAge), "max-age", "refuse statements issued longer ago, such as 24h or 30d")
	f.StringVar(&o.format, "format", "", "ref, json or env")
	return cmd
}

func (o resolveOptions) check() error {
	switch {
	case o.channel == "":
		return usagef("resolve needs --channel")
	case o.trust != "" && len(o.verifyKeys)+len(o.promotionKeys) > 0:
		return usagef("--trust says who may bake and promote: give it without --verify-key and --promotion-key")
	case (len(o.verifyKeys) == 0) != (len(o.promotionKeys) == 0):
		return usagef("--verify-key and --promotion-key go together: one checks who baked, the other who promoted")
	case o.aged && o.maxAge <= 0:
		return usagef("--max-age 0s: want a duration above zero, such as 24h")
	case !o.verifies() && (o.minSequence != 0 || o.aged || o.from != ""):
		return usagef("--min-sequence, --max-age and --from need --verify-key and --promotion-key, or --trust: an unverified statement proves nothing")
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

// verifies tells whether the answer is checked.
func (o resolveOptions) verifies() bool { return o.trust != "" || len(o.verifyKeys) > 0 }

func (a *app) resolve(ctx context.Context, image string, o resolveOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.from != "" {
		return a.resolveFrom(ctx, image, o)
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
	if o.verifies() {
		if err := a.verifyAnswer(ctx, b.registry, r, image, o); err != nil {
			return err
		}
	} else {
		a.say("warning: nothing was verified (give --trust, or --verify-key and --promotion-key)")
	}
	return a.printResolved(resolved{r, o.verifies()}, b.host, o.format)
}

// maxAnswer bounds an answer in a file, in bytes.
const maxAnswer = 64 << 20

// resolveFrom checks an answer that somebody got before.
func (a *app) resolveFrom(ctx context.Context, image string, o resolveOptions) error {
	f, err := os.Open(o.from)
	if err != nil {
		return missingUsage("--from", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxAnswer+1))
	if err != nil {
		return err
	}
	var r promotion.Resolution
	if len(content) > maxAnswer {
		err = fmt.Errorf("more than %d bytes", maxAnswer)
	} else {
		err = json.Unmarshal(content, &r)
	}
	if err == nil && r.Schema != promotion.ResolveSchema {
		err = fmt.Errorf("schema %q, not %s", r.Schema, promotion.ResolveSchema)
	}
	if err != nil {
		return withHint(exitUnverified, fmt.Errorf("%s is no answer of resolve: %w", o.from, err))
	}
	if err := a.verifyAnswer(ctx, nil, r, image, o); err != nil {
		return err
	}
	return a.printResolved(resolved{r, true}, "", o.format)
}

// verifyAnswer holds the answer against the deployer's own trust file or keys.
// Without a registry whoever pulls by digest checks the bytes.
func (a *app) verifyAnswer(ctx context.Context, reg registry.Reader, r promotion.Resolution, image string, o resolveOptions) error {
	opts, err := answerOptions(ctx, image, o)
	if err != nil {
		return err
	}
	dir, err := a.stateDir()
	if err != nil {
		return err
	}
	opts.Seen, opts.MinSequence = &promotion.Seen{Dir: dir}, o.minSequence
	if age := time.Duration(o.maxAge); o.aged && (opts.MaxAge == 0 || age < opts.MaxAge) {
		opts.MaxAge = age
	}
	if reg != nil {
		opts.Manifest = func(ctx context.Context, image string, d digest.Digest) ([]byte, error) {
			_, content, err := reg.Manifest(ctx, image, d)
			return content, err
		}
	}
	return promotion.VerifyResolution(ctx, r, opts)
}

// answerOptions are what the trust file says, or the keys.
func answerOptions(ctx context.Context, image string, o resolveOptions) (promotion.VerifyOptions, error) {
	if o.trust != "" {
		f, err := trustfile.Load(o.trust)
		if err != nil {
			return promotion.VerifyOptions{}, missingUsage("--trust", err)
		}
		return f.Options(image, o.channel), nil
	}
	bakers, err := publicKeys(ctx, o.verifyKeys)
	if err != nil {
		return promotion.VerifyOptions{}, err
	}
	promoters, err := publicKeys(ctx, o.promotionKeys)
	return promotion.VerifyOptions{Image: image, Channel: o.channel, BakeKeys: bakers, PromotionKeys: promoters}, err
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
