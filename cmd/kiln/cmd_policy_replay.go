package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"kiln/registry"
	"kiln/registry/promotion"
	"kiln/sign"
)

// replayOptions are the flags of policy replay.
type replayOptions struct {
	image  string   // "" looks for it
	policy string   // another policy to ask
	keys   []string // public promotion keys; the store's trust if empty
}

func (a *app) policyReplayCommand() *cobra.Command {
	var o replayOptions
	cmd := &cobra.Command{
		Use:   "replay RECORD [--image IMAGE] [--policy PATH|REF] [--promotion-key KEY.pub]…",
		Short: "Make a decision again from its record, and say whether it is the same",
		Long: "replay checks the signature of a record, and that the facts and the policy that were kept are those that it\n" +
			"names; then it asks the policy again. A decision that comes out otherwise exits 4. With --policy it says what\n" +
			"another policy would have said of the same facts, and exits 3 if that denies.\n\n" +
			"RECORD is the digest of a record of the ledger (kiln history), or of a decision (kiln policy decisions), or a\n" +
			"file with what kiln policy decisions --record RECORD --json printed: that needs --promotion-key and no store.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.policyReplay(cmd.Context(), args[0], o) },
	}
	cmd.Flags().StringVar(&o.image, "image", "", "the image whose ledger has the record (default: look in every one)")
	cmd.Flags().StringVar(&o.policy, "policy", "", "ask this policy instead: "+policyPlaces)
	cmd.Flags().StringArrayVar(&o.keys, "promotion-key", nil, "public key whose records count (default: those that the store's trust lists)")
	return cmd
}

func (a *app) policyReplay(ctx context.Context, record string, o replayOptions) error {
	d, opts, err := a.decisionToReplay(ctx, record, o)
	if err != nil {
		return err
	}
	if o.policy != "" {
		if opts.Policy, err = a.policyOf(ctx, o.policy); err != nil {
			return err
		}
	}
	r, err := promotion.ReplayDecision(ctx, d, opts)
	if err != nil {
		return err
	}
	if err := a.printReplay(r); err != nil {
		return err
	}
	switch {
	case o.policy == "" && len(r.Differences) > 0:
		return withHint(exitUnverified, fmt.Errorf("the decision comes out otherwise: %s", strings.Join(r.Differences, "; ")))
	case o.policy != "" && !r.Now.Allow:
		return withHint(exitDenied, fmt.Errorf("that policy would have denied it for %s", counted(len(r.Now.Reasons), "reason")))
	}
	return nil
}

// decisionToReplay reads a decision from a file or from the store, and whose
// records count.
func (a *app) decisionToReplay(ctx context.Context, record string, o replayOptions) (promotion.Decision, promotion.ReplayOptions, error) {
	opts := promotion.ReplayOptions{Asked: digest.Digest(record), Isolated: true}
	for _, key := range o.keys {
		pem, err := publicKey(ctx, key)
		if err != nil {
			return promotion.Decision{}, opts, err
		}
		id, err := sign.KeyID(pem)
		if err != nil {
			return promotion.Decision{}, opts, fmt.Errorf("%s: %w", key, err)
		}
		opts.Trust.Entries = append(opts.Trust.Entries, promotion.TrustEntry{
			Role: promotion.RolePromote, Image: promotion.EveryImage, Key: string(pem), KeyID: id,
		})
	}
	if registry.CheckDigest(digest.Digest(record)) != nil {
		d, err := decisionFile(record)
		if err == nil && len(o.keys) == 0 {
			err = usagef("policy replay of a file needs --promotion-key: without a store nothing says whose records count")
		}
		if opts.Asked = d.Record; opts.Asked == "" {
			opts.Asked = d.ID
		}
		return d, opts, err
	}
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return promotion.Decision{}, opts, err
	}
	defer b.Close()
	d, err := findDecision(ctx, b, o.image, opts.Asked)
	if err == nil && len(o.keys) == 0 {
		opts.Trust, err = b.ops.Trust(ctx)
	}
	if d.ID == opts.Asked && d.Record != "" {
		opts.Asked = d.Record
	}
	return d, opts, err
}

// decisionFile reads what policy decisions --record --json printed.
func decisionFile(path string) (promotion.Decision, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return promotion.Decision{}, withHint(exitNotFound, fmt.Errorf("%q is neither a digest nor a file: %w", path, err),
			"kiln history IMAGE lists the records, kiln policy decisions IMAGE the decisions")
	}
	var list promotion.DecisionList
	if err := json.Unmarshal(content, &list); err != nil {
		return promotion.Decision{}, fmt.Errorf("%s: %w", path, err)
	}
	if list.Schema != promotion.DecisionsSchema || len(list.Decisions) != 1 {
		return promotion.Decision{}, usagef("%s is not one decision: kiln policy decisions IMAGE --record RECORD --json prints it", path)
	}
	return list.Decisions[0], nil
}

// findDecision asks for a decision: of one image, or of all until one has it.
func findDecision(ctx context.Context, b *backend, image string, record digest.Digest) (promotion.Decision, error) {
	ask := func(image string) (promotion.Decision, error) {
		list, err := b.ops.Decisions(ctx, promotion.DecisionsRequest{Image: image, Record: record})
		if err != nil {
			return promotion.Decision{}, err
		}
		if len(list.Decisions) != 1 {
			return promotion.Decision{}, errors.New("the store answers with no decision")
		}
		return list.Decisions[0], nil
	}
	if image != "" {
		return ask(image)
	}
	for cursor := ""; ; {
		page, err := b.ops.Images(ctx, promotion.ImagesRequest{Cursor: cursor})
		if err != nil {
			return promotion.Decision{}, err
		}
		for _, i := range page.Images {
			d, err := ask(i.Image)
			if promotion.KindOf(err) != promotion.KindNotFound {
				return d, err
			}
		}
		if cursor = page.Next; cursor == "" {
			return promotion.Decision{}, withHint(exitNotFound, fmt.Errorf("no image has a decision or a record %s", record),
				"kiln history IMAGE lists the records, kiln policy decisions IMAGE the decisions")
		}
	}
}

func (a *app) printReplay(r promotion.Replay) error {
	if a.json {
		return a.printJSON(r)
	}
	word := map[bool]string{true: "allowed", false: "denied"}
	fmt.Fprintf(a.out, "%s of %s@%s to %s by %s at %s: %s then, %s now\n", r.Action, r.Image, r.Digest, r.Channel, r.By,
		r.At.UTC().Format(time.RFC3339), word[r.Then.Allow], word[r.Now.Allow])
	if r.SignedBy != "" {
		fmt.Fprintf(a.out, "record %s, signed by %s\n", r.Record, r.SignedBy)
	} else {
		fmt.Fprintln(a.out, "no record: nothing moved, and nothing but the store vouches for what was decided")
	}
	fmt.Fprintf(a.out, "policy %s\nfacts  %s\n", r.Now.Policy, r.Now.Facts)
	if err := a.printFindings(r.Findings); err != nil {
		return err
	}
	for _, d := range r.Differences {
		fmt.Fprintf(a.out, "differs: %s\n", d)
	}
	return nil
}
