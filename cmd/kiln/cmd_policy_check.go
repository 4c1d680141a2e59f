package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

func (a *app) policyCheckCommand() *cobra.Command {
	var channel, ref string
	cmd := &cobra.Command{
		Use:   "check IMAGE@DIGEST --to CHANNEL [--policy PATH|REF]",
		Short: "Explain fact by fact whether a promotion would be allowed; exit 3 if not",
		Long: "check explains fact by fact whether a promotion would be allowed, and what would make it pass.\n" +
			"Nothing moves, and nothing is written. With --policy, what another policy says of the same facts.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.policyCheck(cmd.Context(), args[0], channel, ref)
		},
	}
	cmd.Flags().StringVar(&channel, "to", "", "the channel that it would be promoted to (required)")
	cmd.Flags().StringVar(&ref, "policy", "", "ask this policy: "+policyPlaces)
	return cmd
}

// policyPlaces is where another policy than the one in force may be.
const policyPlaces = "a .rego file, a folder of them, a .hcl file with a policy block, or IMAGE@DIGEST of a policy in the store"

func (a *app) policyCheck(ctx context.Context, name, channel, ref string) error {
	if channel == "" {
		return usagef("policy check needs --to CHANNEL")
	}
	v, err := a.openVersion(ctx, name, purpose{})
	if err != nil {
		return err
	}
	defer v.Close()
	c, err := v.ops.Check(ctx, promotion.CheckRequest{Image: v.image, Digest: v.digest, Channel: channel})
	if err != nil {
		return err
	}
	if v.service != nil { // a server has its own, also of no flag
		ref = firstOf(ref, a.getenv("KILN_POLICY"))
	}
	if ref != "" {
		other, err := a.policyOf(ctx, ref)
		if err != nil {
			return err
		}
		if c, err = c.Against(ctx, other); err != nil {
			return err
		}
	}
	if err := a.printCheck(c); err != nil || c.Allow {
		return err
	}
	against := len(c.Reasons) + len(c.Refusals)
	return withHint(exitDenied, fmt.Errorf("a promotion of %s@%s to %s would be denied for %s", c.Image, c.Digest, c.Channel, counted(against, "reason")))
}

func (a *app) printCheck(c promotion.Check) error {
	if a.json {
		return a.printJSON(c)
	}
	verdict := "would be allowed"
	if !c.Allow {
		verdict = "would be denied"
	}
	fmt.Fprintf(a.out, "%s@%s to %s %s\n", c.Image, c.Digest, c.Channel, verdict)
	return a.printFindings(withCause(c.Findings, c.Ignored))
}

// withCause puts why evidence does not count before what is missing for it.
func withCause(list []promotion.Finding, ignored string) []promotion.Finding {
	if ignored == "" {
		return list
	}
	cause := promotion.Finding{Rule: "evidence", OK: true, Unasked: true, Fact: "some of what is attached does not count: " + ignored}
	return append([]promotion.Finding{cause}, list...)
}

// printFindings prints what is known, one line each, and below what stands in
// the way what to do about it.
func (a *app) printFindings(list []promotion.Finding) error {
	var rows [][]string
	for _, f := range list {
		mark := "ok"
		switch {
		case !f.OK:
			mark = "DENIED"
		case f.Unasked:
			mark = "-" // a fact, for which no rule asks
		}
		rows = append(rows, []string{"  " + mark, f.Rule, strings.ReplaceAll(f.Fact, "\n", " ")})
		if f.Fix != "" {
			rows = append(rows, []string{"", "", "-> " + f.Fix})
		}
	}
	return a.printTable(rows)
}
