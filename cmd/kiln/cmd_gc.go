package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

// gcOptions are the flags of kiln gc.
type gcOptions struct {
	apply  bool
	grace  promotion.Duration
	config string // a file like that of serve
	wait   bool
	rule   promotion.RetentionRule // of the flags
}

func (a *app) gcCommand() *cobra.Command {
	o := gcOptions{grace: promotion.Duration(promotion.DefaultGrace)}
	cmd := &cobra.Command{
		Use:   "gc [--apply] [--grace 24h] [--config FILE | --keep-last N …]",
		Short: "Collect what nothing reaches; without --apply only say what would go",
		Long: "gc removes what neither a tag, a channel and what it held, a lease nor a version that was baked on it\n" +
			"reaches. It condemns what is older than the grace, and removes with a later run once another grace is\n" +
			"over, so that what is pushed meanwhile stays whole. With retention rules it first removes the tags of versions that no rule keeps.\n" +
			"Any number of kiln may push and promote meanwhile.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.gc(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.apply, "apply", false, "do it")
	f.Var((*span)(&o.grace), "grace", "how long what is condemned stays, at least 1s; longer than any push takes")
	f.BoolVar(&o.wait, "wait", false, "with --apply: wait for the grace to end and remove what was condemned")
	f.StringVar(&o.config, "config", "", "take the retention blocks of this file, as kiln serve does")
	f.StringVar(&o.rule.Image, "image", "", "the images that the flags below are about (default all): a pattern such as \"acme/*\"")
	f.IntVar(&o.rule.KeepLast, "keep-last", 0, "keep this many versions, the newest")
	f.Var((*span)(&o.rule.KeepYounger), "keep-younger", "keep versions that were baked within this time, such as 30d")
	f.StringArrayVar(&o.rule.KeepTags, "keep-tag", nil, "keep versions with a tag like this pattern; may be given again")
	f.IntVar(&o.rule.History, "history", 0, "keep this many digests that each channel held before (default all)")
	return cmd
}

func (a *app) gc(ctx context.Context, o gcOptions) error {
	if o.wait && !o.apply {
		return usagef("gc --wait needs --apply")
	}
	if o.grace < promotion.Duration(promotion.MinGrace) {
		return usagef("gc --grace %s: want at least %s", time.Duration(o.grace), promotion.Duration(promotion.MinGrace))
	}
	rules, err := o.rules()
	if err != nil {
		return err
	}
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	req := promotion.CollectRequest{Apply: o.apply, Grace: o.grace, Retention: rules}
	a.working("collecting")
	done, err := b.ops.Collect(ctx, req)
	if err == nil && o.wait {
		done, err = a.gcAgain(ctx, b, req, done)
	}
	if err != nil {
		return err
	}
	return a.printCollected(done)
}

// rules are those of the configuration file, or the one of the flags.
func (o gcOptions) rules() ([]promotion.RetentionRule, error) {
	r := o.rule
	given := r.KeepLast != 0 || r.KeepYounger != 0 || len(r.KeepTags) > 0 || r.History != 0
	switch {
	case given && o.config != "":
		return nil, usagef("gc takes its rules from --config or from flags, not from both")
	case o.config != "":
		cfg, err := loadServeConfig(o.config)
		return cfg.retention, err
	case given:
		if r.Image == "" {
			r.Image = promotion.EveryImage
		}
		return []promotion.RetentionRule{r}, nil
	case r.Image != "":
		return nil, usagef("gc --image: say what to keep of %s (--keep-last, --keep-younger, --keep-tag, --history)", r.Image)
	}
	return nil, nil
}

// gcAgain waits until all that was condemned is due and collects again.
func (a *app) gcAgain(ctx context.Context, b *backend, req promotion.CollectRequest, first promotion.CollectResult) (promotion.CollectResult, error) {
	if len(first.Condemned) == 0 {
		return first, nil
	}
	a.say("condemned %d; waiting %s", len(first.Condemned), req.Grace)
	select {
	case <-ctx.Done():
		return first, ctx.Err()
	case <-time.After(time.Duration(req.Grace) + time.Second/10): // the last was condemned a moment ago
	}
	done, err := b.ops.Collect(ctx, req)
	done.Retired = append(first.Retired, done.Retired...)
	done.Removed = append(first.Removed, done.Removed...)
	done.Rescued += first.Rescued
	done.Bytes += first.Bytes
	return done, err
}

func (a *app) printCollected(r promotion.CollectResult) error {
	if !r.Applied {
		a.say("a dry run, nothing was changed: --apply does it")
	}
	if r.Truncated {
		a.say("only the first %d of each kind are listed", promotion.MaxListed)
	}
	if a.json {
		return a.printJSON(r)
	}
	if len(r.Retired)+len(r.Removed)+len(r.Condemned) > 0 {
		if err := a.printTable(collectedRows(r)); err != nil {
			return err
		}
	}
	words := map[bool][3]string{true: {"retired", "removed", "condemned"}, false: {"would retire", "would remove", "would condemn"}}[r.Applied]
	a.say("%s %s; %s %d (%s); %s %d (%s)", words[0], counted(len(r.Retired), "version"),
		words[1], len(r.Removed), byteCount(r.Bytes), words[2], len(r.Condemned), byteCount(r.BytesCondemned))
	if r.Waiting > 0 {
		a.say("%s more that no rule keeps: younger than %s, retired after that", counted(r.Waiting, "version"), r.Grace)
	}
	if r.Young > 0 {
		a.say("%d unreachable, younger than %s (%s): a run after %s condemns them, one %s later removes them",
			r.Young, r.Grace, byteCount(r.BytesYoung), stamp(r.YoungDue), r.Grace)
	}
	return nil
}

func collectedRows(r promotion.CollectResult) [][]string {
	rows := [][]string{{"ACTION", "KIND", "IMAGE", "DIGEST", "SIZE", "NOTE"}}
	for _, v := range r.Retired {
		rows = append(rows, []string{"retire", "version", v.Image, string(v.Digest), "-", strings.Join(v.Tags, " ")})
	}
	for _, g := range r.Removed {
		rows = append(rows, []string{"remove", g.Kind, dash(g.Image), string(g.Digest), fmt.Sprint(g.Size), ""})
	}
	for _, g := range r.Condemned {
		rows = append(rows, []string{"condemn", g.Kind, dash(g.Image), string(g.Digest), fmt.Sprint(g.Size), "due " + stamp(g.Due)})
	}
	return rows
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// byteCount writes a number of bytes for a person.
func byteCount(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, exp := float64(n)/unit, 0
	for value >= unit && exp < 4 {
		value, exp = value/unit, exp+1
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[exp])
}
