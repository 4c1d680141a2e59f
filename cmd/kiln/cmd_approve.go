package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

// approveOptions are the flags of kiln approve.
type approveOptions struct {
	promotion.ApproveRequest
	signing      signerFlags // of the approval
	promotionKey string
	list         bool
}

func (a *app) approveCommand() *cobra.Command {
	var o approveOptions
	cmd := &cobra.Command{
		Use:   "approve IMAGE@DIGEST [--to CHANNEL] [--reason R] [--approval-key KEY | --keyless] | IMAGE@DIGEST --list",
		Short: "Say yes to a promotion; list who did",
		Long: "approve records that somebody says yes to promoting a version, to --to or to any channel. With a key, or\n" +
			"with --keyless an identity, that the trust lists for approving, the word is signed by it. Without one a\n" +
			"server takes the word of who it knows to ask, if they may approve; an embedded store knows nobody and\n" +
			"needs a key or an identity.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.list {
				return a.approvals(cmd.Context(), args[0], o)
			}
			return a.approve(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Channel, "to", "", "the channel that it may go to (default: any)")
	f.StringVar(&o.Reason, "reason", "", "why, for the ledger")
	f.StringVar(&o.signing.key, "approval-key", "", "private key that signs the approval (KILN_APPROVAL_KEY)")
	f.StringVar(&o.signing.timestampURL, "timestamp-url", "", "RFC 3161 authority that dates the approval (with --keyless also KILN_TIMESTAMP_URL)")
	o.signing.keyless.register(f)
	f.StringVar(&o.promotionKey, "promotion-key", "", "private key that signs the record (KILN_PROMOTION_KEY)")
	f.BoolVar(&o.list, "list", false, "list who approved it, and whether the trust bears that out")
	return cmd
}

func (a *app) approve(ctx context.Context, ref string, o approveOptions) error {
	signing, err := a.approvalSigning(o.signing)
	if err != nil {
		return err
	}
	v, err := a.openVersion(ctx, ref, purpose{promote: true, promotionKey: o.promotionKey})
	if err != nil {
		return err
	}
	defer v.Close()
	signer, err := a.signer(ctx, signing) // nil for nobody
	if err != nil {
		return err
	}
	o.Image, o.Digest = v.image, v.digest
	if signer != nil {
		if o.Approval, err = a.signApproval(ctx, v.backend, signer, o.ApproveRequest); err != nil {
			return err
		}
	}
	r, err := v.ops.Approve(ctx, o.ApproveRequest)
	if err != nil {
		return err
	}
	return a.printApproval(r)
}

func (a *app) printApproval(r promotion.Approval) error {
	if r.RecordedKey != "" {
		a.say("first record of this store: recorded the promotion key %s in its trust", r.RecordedKey)
	}
	if r.Unchanged {
		a.say("it is approved already; this is the existing record")
	}
	if len(r.TrustedIn) > 0 {
		a.say("warning: it counts for %s only: the trust lists who approved it for no other channel", strings.Join(r.TrustedIn, ", "))
	}
	if a.json {
		return a.printJSON(r)
	}
	_, err := fmt.Fprintf(a.out, "%s@%s approved for %s by %s (sequence %d, record %s)\n",
		r.Image, r.Digest, firstOf(r.Channel, "any channel"), firstOf(r.KeyID, r.By), r.Sequence, r.Record)
	return err
}

func (a *app) approvals(ctx context.Context, ref string, o approveOptions) error {
	v, err := a.openVersion(ctx, ref, purpose{})
	if err != nil {
		return err
	}
	defer v.Close()
	list, err := v.ops.Approvals(ctx, promotion.ApprovalsRequest{Image: v.image, Digest: v.digest, Channel: o.Channel})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	rows := [][]string{{"AT", "CHANNEL", "BY", "SIGNED BY", "TRUSTED", "REASON"}}
	for _, p := range list.Approvals {
		rows = append(rows, []string{
			p.At.UTC().Format(time.RFC3339), firstOf(p.Channel, "any"), shortDigest(approver(p.By, p.KeyID)), firstOf(shortDigest(p.KeyID), "-"),
			trustedWhere(p.Trusted, p.TrustedIn), p.Reason,
		})
	}
	return a.printTable(rows)
}

// approver is who said yes: who handed it in, where a server knew them; the
// promotion key only wrote down what another signed.
func approver(by, keyID string) string {
	if strings.HasPrefix(by, "sha256:") && keyID != "" {
		return keyID
	}
	return by
}

// trustedWhere is what a table says of an approval: yes, no, or in which channels
// one for any counts.
func trustedWhere(everywhere bool, in []string) string {
	switch {
	case everywhere:
		return "yes"
	case len(in) > 0:
		return "for " + strings.Join(in, ", ")
	}
	return "no"
}
