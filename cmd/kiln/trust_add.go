package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"kiln/registry/promotion"
	"kiln/registry/promotion/trustfile"
	"kiln/sign"
)

// trustAddOptions are the flags of kiln trust add.
type trustAddOptions struct {
	role, image         string
	channels            []string
	notBefore, notAfter string
	who                 sign.Identity
}

func (a *app) trustAddCommand() *cobra.Command {
	var o trustAddOptions
	cmd := &cobra.Command{
		Use:   "add [KEY] --role bake|promote|approve [--image PATTERN]",
		Short: "List a public key or an identity, or change the channels and dates of its entry",
		Long: "add lists a public key, or with --identity-issuer and --identity-subject an identity that a Fulcio\n" +
			"certificate names, which needs kiln trust root first. For the same role and image again it changes the\n" +
			"channels and dates that are given and keeps the others; kiln trust expire and remove end an entry.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.trustAdd(cmd.Context(), args, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.role, "role", "", "what it may do (required)")
	f.StringVar(&o.image, "image", "", `images it may do it for, such as "acme/*" (default all)`)
	f.StringArrayVar(&o.channels, "channel", nil, `channels it may promote to or approve for, such as prod or "stag*" (repeatable; default all)`)
	f.StringVar(&o.notBefore, "not-before", "", "from when on what it signs counts, such as 2026-01-01 or 2026-01-01T08:00:00Z")
	f.StringVar(&o.notAfter, "not-after", "", "until when")
	f.StringVar(&o.who.Issuer, "identity-issuer", "", "issuer of an identity, exactly")
	f.StringVar(&o.who.Subject, "identity-subject", "", "subject of the identity, exactly")
	f.StringVar(&o.who.SubjectRegexp, "identity-subject-regexp", "", "regular expression that the whole subject matches, instead")
	return cmd
}

// request is what to ask the store for; files are the arguments.
func (o trustAddOptions) request(ctx context.Context, files []string) (promotion.TrustRequest, error) {
	req := promotion.TrustRequest{Role: promotion.Role(o.role), Image: o.image, Channels: o.channels}
	identity := o.who != (sign.Identity{})
	switch {
	case o.role == "":
		return req, usagef("trust add needs --role bake, promote or approve")
	case identity == (len(files) > 0):
		return req, usagef("trust add lists one key (KEY.pub) or one identity (--identity-issuer with --identity-subject or --identity-subject-regexp)")
	case identity:
		req.Identity = &o.who
	default:
		pem, err := publicKey(ctx, files[0])
		if err != nil {
			return req, err
		}
		req.Key = string(pem)
	}
	var err error
	if req.NotBefore, err = dateFlag("--not-before", o.notBefore, false); err != nil {
		return req, err
	}
	req.NotAfter, err = dateFlag("--not-after", o.notAfter, true)
	return req, err
}

// dateFlag reads a time; nil for "".
func dateFlag(name, text string, end bool) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	t, err := trustfile.ParseDate(text, end)
	if err != nil {
		return nil, usagef("%s: %v", name, err)
	}
	return &t, nil
}

func (a *app) trustAdd(ctx context.Context, files []string, o trustAddOptions) error {
	req, err := o.request(ctx, files)
	if err != nil {
		return err
	}
	b, err := a.open(ctx, purpose{create: true})
	if err != nil {
		return err
	}
	defer b.Close()
	if req.Identity != nil {
		if t, err := b.ops.Trust(ctx); err == nil && len(t.Root) == 0 {
			a.say("warning: the store has no trusted root yet, and without one no identity is believed (kiln trust root FILE)")
		}
	}
	entry, err := b.ops.AddTrust(ctx, req)
	if err != nil {
		return err
	}
	return a.printTrust(promotion.Trust{Entries: []promotion.TrustEntry{entry}})
}

func (a *app) trustRootCommand() *cobra.Command {
	var remove, show bool
	cmd := &cobra.Command{
		Use:   "root FILE | --remove | --print",
		Short: "Set the Sigstore trusted root (trusted_root.json) that identities are held against",
		Long: "root FILE keeps a trusted root with the store, --remove takes it away. --print prints it, or where there is\n" +
			"none one that trusts nothing: cosign 2.6 wants such a file even to verify with a key:\n\n" +
			"  kiln trust root --print > root.json\n" +
			"  cosign verify --key kiln.pub --private-infrastructure --trusted-root root.json HOST/IMAGE@DIGEST",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if show && !remove && len(args) == 0 {
				return a.printTrustRoot(cmd.Context())
			}
			if show || remove == (len(args) > 0) {
				return usagef("trust root takes the file of a trusted root, --remove or --print")
			}
			return a.trustRoot(cmd.Context(), args)
		},
	}
	cmd.Flags().BoolVar(&show, "print", false, "print the trusted root, or an empty one, for cosign --trusted-root")
	cmd.Flags().BoolVar(&remove, "remove", false, "take the trusted root away: no identity is believed then")
	return cmd
}

func (a *app) trustRoot(ctx context.Context, files []string) error {
	var req promotion.TrustRootRequest
	for _, file := range files {
		root, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if !json.Valid(root) {
			return usagef("%s is no JSON: want a trusted_root.json", file)
		}
		req.Root = root
	}
	b, err := a.open(ctx, purpose{create: true})
	if err != nil {
		return err
	}
	defer b.Close()
	t, err := b.ops.SetTrustRoot(ctx, req)
	if err != nil {
		return err
	}
	return a.printTrust(t)
}

// printTrustRoot prints what cosign takes for --trusted-root.
func (a *app) printTrustRoot(ctx context.Context) error {
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	t, err := b.ops.Trust(ctx)
	if err != nil {
		return err
	}
	root := t.Root
	if len(root) == 0 {
		root = json.RawMessage(sign.CosignTrustedRoot)
	}
	_, err = fmt.Fprintln(a.out, string(root))
	return err
}

func (a *app) trustExport(ctx context.Context) error {
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	t, err := b.ops.Trust(ctx)
	if err != nil {
		return err
	}
	text, err := trustfile.Format(t, t.StoreID)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(struct {
			Schema string `json:"schema"`
			Trust  string `json:"trust"` // the file
		}{"kiln.trust-export/v1", string(text)})
	}
	a.say("review it before you trust it: compare every id with what its owner tells you, not this store")
	_, err = fmt.Fprint(a.out, string(text))
	return err
}
