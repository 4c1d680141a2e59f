package main

import "github.com/spf13/cobra"

// policyCommand groups what is about the policy that gates promotions.
func (a *app) policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "See, test and store the policy that gates promotions",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		a.policyShowCommand(),
		a.policyCheckCommand(),
		a.policyReplayCommand(),
		a.policyDecisionsCommand(),
		a.policyTestCommand(),
		a.policyExamplesCommand(),
		a.policyPushCommand(),
	)
	return cmd
}
