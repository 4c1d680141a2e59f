package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kiln/policy"
)

func (a *app) policyTestCommand() *cobra.Command {
	var builtin, verbose bool
	var examples []string
	cmd := &cobra.Command{
		Use:   "test DIR|FILE…",
		Short: "Run the unit tests of a policy: rules test_… in files …_test.rego",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.policyTest(cmd.Context(), args, policy.Spec{Default: builtin, Examples: examples}, verbose)
		},
	}
	cmd.Flags().BoolVar(&builtin, "default", false, "together with the built-in policy, so that kiln.deny has its denials, too")
	cmd.Flags().StringArrayVar(&examples, "example", nil, "together with a packaged example (repeatable; kiln policy examples lists them)")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "list passed tests and what they print, too")
	return cmd
}

// policyTestReport is what policy test --json prints.
type policyTestReport struct {
	Schema string `json:"schema"` // kiln.policy-test/v1
	policy.Report
}

func (a *app) policyTest(ctx context.Context, paths []string, spec policy.Spec, verbose bool) error {
	spec.Files = map[string][]byte{}
	for _, path := range paths {
		if strings.HasSuffix(path, ".hcl") {
			cfg, err := loadPolicyFile(path)
			if err == nil {
				err = mergePolicy(ctx, &spec, cfg)
			}
			if err != nil {
				return err
			}
			continue
		}
		files, err := readPolicyPath(path)
		if err == nil {
			err = addPolicyFiles(spec.Files, files, path)
		}
		if err != nil {
			return err
		}
	}
	report, err := policy.RunTests(ctx, spec)
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(policyTestReport{"kiln.policy-test/v1", report})
	} else {
		err = a.printPolicyTests(report, verbose)
	}
	if err == nil && report.Failed > 0 {
		err = fmt.Errorf("%d of %d tests failed", report.Failed, len(report.Tests))
	}
	return err
}

// mergePolicy adds what a policy block without bundles says.
func mergePolicy(ctx context.Context, spec *policy.Spec, cfg policyConfig) error {
	if len(cfg.bundles) > 0 {
		return usagef("policy test takes files; test a bundle before it is pushed")
	}
	more, err := cfg.spec(ctx, nil)
	if err != nil {
		return err
	}
	spec.Default = spec.Default || more.Default
	spec.Examples = append(spec.Examples, more.Examples...)
	spec.Config = more.Config
	return addPolicyFiles(spec.Files, more.Files, "files")
}

func (a *app) printPolicyTests(report policy.Report, verbose bool) error {
	for _, t := range report.Tests {
		word := "pass"
		switch {
		case t.Skipped:
			word = "skip"
		case !t.Passed:
			word = "FAIL"
		case !verbose:
			continue
		}
		fmt.Fprintf(a.out, "%s %s (%s:%d)\n", word, t.Name, t.File, t.Line)
		for _, text := range []string{t.Message, t.Output} {
			if text = strings.TrimSpace(text); text != "" {
				fmt.Fprintf(a.out, "     %s\n", strings.ReplaceAll(text, "\n", "\n     "))
			}
		}
	}
	_, err := fmt.Fprintf(a.out, "%d passed, %d failed, %d skipped\n", report.Passed, report.Failed, report.Skipped)
	return err
}
