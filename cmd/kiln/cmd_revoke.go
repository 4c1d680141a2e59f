package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

// revokeOptions are the flags of kiln revoke.
type revokeOptions struct {
	promotion.RevokeRequest
	at     string
	key    string
	limit  int
	cursor string
}

func (a *app) revokeCommand() *cobra.Command {
	var o revokeOptions
	cmd := &cobra.Command{
		Use:   "revoke IMAGE@DIGEST --reason R [--at T] [--no-descendants] | [IMAGE]",
		Short: "Declare a version unusable, with what was baked on it; list what is",
		Long: "revoke IMAGE@DIGEST has every channel that holds the version, or one that was baked on it, stop answering\n" +
			"at once, or from --at on, and say why. Deployers that verify offline learn of it when the statement that\n" +
			"they hold expires; with --at, statements are issued anew that end at that time, by the promotion key where it may.\n" +
			"kiln restore takes it back. revoke IMAGE lists the revocations of an image, revoke those of all.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{""}
			}
			if strings.ContainsAny(args[0], "@:") {
				return a.revoke(cmd.Context(), args[0], o)
			}
			return a.revocations(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Reason, "reason", "", "why: whoever is refused reads it (required)")
	f.StringVar(&o.at, "at", "", "from when on: a time as 2026-03-01T12:00:00Z, or a span from now as 12h (default: now)")
	f.BoolVar(&o.NoDescendants, "no-descendants", false, "leave what was baked on it usable")
	f.StringVar(&o.key, "promotion-key", "", "private key that signs the record (KILN_PROMOTION_KEY)")
	f.IntVar(&o.limit, "limit", 0, "how many to list at most")
	f.StringVar(&o.cursor, "cursor", "", "go on where a listing ended (its \"next\")")
	return cmd
}

func (a *app) revoke(ctx context.Context, ref string, o revokeOptions) error {
	if o.Reason == "" {
		return usagef("revoke needs --reason: whoever is refused reads it")
	}
	var err error
	if o.At, err = moment(o.at, time.Now()); err != nil {
		return err
	}
	v, err := a.openVersion(ctx, ref, purpose{promote: true, promotionKey: o.key})
	if err != nil {
		return err
	}
	defer v.Close()
	o.Image, o.Digest = v.image, v.digest
	r, err := v.ops.Revoke(ctx, o.RevokeRequest)
	if err != nil {
		return err
	}
	return a.printRevocation(r)
}

// moment reads a time, or a span from now on; nil for "".
func moment(text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return &t, nil
	}
	var from span
	if err := from.Set(text); err != nil {
		return nil, usagef("--at %q: want a time as 2026-03-01T12:00:00Z, or a span from now as 12h", text)
	}
	t := now.Add(time.Duration(from))
	return &t, nil
}

func (a *app) printRevocation(r promotion.Revocation) error {
	if r.RecordedKey != "" {
		a.say("first record of this store: recorded the promotion key %s in its trust", r.RecordedKey)
	}
	if r.Unchanged {
		a.say("it is revoked already; this is the existing record")
	}
	if a.json {
		return a.printJSON(r)
	}
	when := ""
	if !r.InForce {
		when = " from " + r.At.UTC().Format(time.RFC3339) + " on"
	}
	w := &failingWriter{w: a.out}
	fmt.Fprintf(w, "%s@%s revoked%s (sequence %d, record %s)\n", r.Image, r.Digest, when, r.Sequence, r.Record)
	for _, d := range r.Descendants {
		fmt.Fprintf(w, "  hits   %s@%s (%s)\n", d.Image, d.Digest, d.Tag)
	}
	for _, c := range r.Channels {
		fmt.Fprintf(w, "  stops  %s:%s, which holds %s\n", c.Image, c.Channel, c.Digest)
	}
	if r.Truncated {
		a.say("not all that it hits is listed; all of it is hit: kiln ancestry %s@%s", r.Image, r.Digest)
	}
	for _, c := range r.Channels {
		if c.Outlives != nil {
			a.say("warning: the statement of %s:%s lasts until %s; end it when the revocation begins: kiln renew %s --channel %s, with a promotion key for it",
				c.Image, c.Channel, c.Outlives.UTC().Format(time.RFC3339), c.Image, c.Channel)
		}
		a.say("hint: kiln rollback %s --channel %s, or promote another version", c.Image, c.Channel)
	}
	return w.err
}

func (a *app) revocations(ctx context.Context, image string, o revokeOptions) error {
	if o.Reason != "" || o.at != "" || o.NoDescendants {
		return usagef("revoke needs IMAGE@DIGEST")
	}
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	list, err := b.ops.Revocations(ctx, promotion.RevocationsRequest{Image: image, Limit: o.limit, Cursor: o.cursor})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	rows := [][]string{{"IMAGE", "DIGEST", "FROM", "DESCENDANTS", "BY", "REASON"}}
	for _, r := range list.Revocations {
		rows = append(rows, []string{
			r.Image, string(r.Digest), r.At.UTC().Format(time.RFC3339),
			map[bool]string{false: "too", true: "not"}[r.NoDescendants], shortDigest(r.By), r.Reason,
		})
	}
	if list.Next != "" {
		a.say("there are more: --cursor %s", list.Next)
	}
	return a.printTable(rows)
}
