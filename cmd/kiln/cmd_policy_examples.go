package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"kiln/policy"
)

func (a *app) policyExamplesCommand() *cobra.Command {
	var test bool
	cmd := &cobra.Command{
		Use:   "examples [NAME]",
		Short: "List the packaged parts of policies, or print one",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.policyExamples()
			}
			return a.policyExample(args[0], test)
		},
	}
	cmd.Flags().BoolVar(&test, "test", false, "print its unit tests")
	return cmd
}

// policyExample is one of policy examples --json.
type policyExample struct {
	Name       string         `json:"name"`
	Title      string         `json:"title"`
	Parameters map[string]any `json:"parameters"` // with their defaults
	Required   []string       `json:"required"`   // one of these must be given
}

type policyExampleList struct {
	Schema   string          `json:"schema"` // kiln.policy-examples/v1
	Examples []policyExample `json:"examples"`
}

func (a *app) policyExamples() error {
	list := policyExampleList{Schema: "kiln.policy-examples/v1"}
	rows := [][]string{{"NAME", "SAYS"}}
	for _, e := range policy.Examples() {
		parameters, required, err := e.Parameters()
		if err != nil {
			return err
		}
		if required == nil {
			required = []string{}
		}
		list.Examples = append(list.Examples, policyExample{e.Name, e.Title, parameters, required})
		rows = append(rows, []string{e.Name, e.Title})
	}
	if a.json {
		return a.printJSON(list)
	}
	return a.printTable(rows)
}

func (a *app) policyExample(name string, test bool) error {
	for _, e := range policy.Examples() {
		if e.Name != name {
			continue
		}
		text := e.Source
		if test {
			text = e.Test
		}
		_, err := a.out.Write(text)
		return err
	}
	return withHint(exitNotFound, fmt.Errorf("there is no example %q", name), "kiln policy examples lists them")
}
