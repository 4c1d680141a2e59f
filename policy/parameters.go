package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// checkConfig refuses data documents that add to what Config says of a part.
func (s Spec) checkConfig() error {
	var own map[string]any
	if len(s.Config) > 0 && json.Unmarshal(s.Config, &own) != nil {
		return nil // it is no object, which documents refuses
	}
	data, err := documents(s.Files)
	if err != nil {
		return err
	}
	config, _ := data["config"].(map[string]any)
	for _, part := range slices.Sorted(maps.Keys(own)) {
		if _, there := config[part]; there {
			return fmt.Errorf("data.config.%s is given twice: by the parameters and by a data document", part)
		}
	}
	return nil
}

// checkParameters compares what data.config gives to examples with the
// parameters that they have. Where a user has no files, nobody else reads it.
func (s Spec) checkParameters(files map[string][]byte) error {
	data, err := documents(files)
	if err != nil {
		return err
	}
	config, ok := data["config"].(map[string]any)
	if !ok {
		return fmt.Errorf("data.config is no object")
	}
	for _, part := range slices.Sorted(maps.Keys(config)) {
		if len(s.Files) == 0 && !slices.Contains(s.Examples, part) {
			return fmt.Errorf("data.config.%s is read by no part of this policy; its examples are [%s]", part, strings.Join(s.Examples, ", "))
		}
	}
	var wrong []error
	for _, e := range Examples() {
		given, there := config[e.Name]
		if !slices.Contains(s.Examples, e.Name) {
			continue
		}
		values, ok := given.(map[string]any)
		if there && !ok {
			wrong = append(wrong, fmt.Errorf("the parameters of %s are no object", e.Name))
			continue
		}
		wrong = append(wrong, e.check(values)...)
	}
	return errors.Join(wrong...)
}

// Parameters are the parameters of the example with their defaults, and those
// of which one must be given.
func (e Example) Parameters() (defaults map[string]any, required []string, err error) {
	results, err := rego.New(
		rego.Query(fmt.Sprintf(`x := {"defaults": data.kiln_examples.%[1]s.defaults, "required": object.get(data.kiln_examples.%[1]s, "required", [])}`, e.Name)),
		rego.Module(e.Name+".rego", rulesOnly(e, "defaults", "required")),
		rego.SetRegoVersion(ast.RegoV1), rego.Capabilities(capabilities()),
	).Eval(context.Background())
	if err != nil || len(results) != 1 {
		return nil, nil, fmt.Errorf("parameters of %s: %w", e.Name, err)
	}
	x := results[0].Bindings["x"].(map[string]any)
	for _, name := range x["required"].([]any) {
		required = append(required, name.(string))
	}
	return x["defaults"].(map[string]any), required, nil
}

// rulesOnly is the example's module with the named rules alone.
func rulesOnly(e Example, names ...string) string {
	m := ast.MustParseModuleWithOpts(string(e.Source), ast.ParserOptions{RegoVersion: ast.RegoV1})
	m.Rules = slices.DeleteFunc(m.Rules, func(r *ast.Rule) bool { return !slices.Contains(names, string(r.Head.Name)) })
	return m.String()
}

// check refuses parameters that the example does not have, or not of this type:
// an error for each.
func (e Example) check(given map[string]any) []error {
	defaults, required, err := e.Parameters()
	if err != nil {
		return []error{err}
	}
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(given)) {
		want, known := defaults[name]
		if !known {
			wrong = append(wrong, fmt.Errorf("%s has no parameter %q; it has %s", e.Name, name, strings.Join(slices.Sorted(maps.Keys(defaults)), ", ")))
		} else if a, b := typeOf(given[name]), typeOf(want); a != b {
			wrong = append(wrong, fmt.Errorf("the parameter %s of %s is a %s; want a %s", name, e.Name, a, b))
		}
	}
	if wrong = append(wrong, e.checkTimes(given)...); len(wrong) > 0 {
		return wrong
	}
	if len(required) > 0 && !slices.ContainsFunc(required, func(name string) bool {
		list, _ := given[name].([]any)
		return len(list) > 0
	}) {
		return []error{fmt.Errorf("%s forbids nothing without parameters: give it %s", e.Name, strings.Join(required, " or "))}
	}
	return nil
}

// checkTimes refuses times in lists of parameters that are none: an example
// could not be evaluated with them.
func (e Example) checkTimes(given map[string]any) (wrong []error) {
	times := map[string]map[string][]string{
		"freeze":          {"windows": {"from", "to"}},
		"vulnerabilities": {"ignore": {"until"}},
	}[e.Name]
	for list, names := range times {
		entries, _ := given[list].([]any)
		for i, entry := range entries {
			values, _ := entry.(map[string]any)
			for _, name := range names {
				if text, _ := values[name].(string); !isMoment(text) {
					wrong = append(wrong, fmt.Errorf("%s: %s: %s of entry %d is %q; want a time in RFC 3339, such as 2026-12-20T15:00:00Z, or a day, 2026-12-20, for when it begins in UTC",
						e.Name, list, name, i+1, text))
				}
			}
		}
	}
	return wrong
}

// isMoment tells whether a text is a time that examples can read.
func isMoment(text string) bool {
	_, time3339 := time.Parse(time.RFC3339, text)
	_, day := time.Parse(time.DateOnly, text)
	return time3339 == nil || day == nil
}

func typeOf(v any) string {
	switch v.(type) {
	case []any:
		return "list"
	case map[string]any:
		return "object"
	case string:
		return "string"
	case bool:
		return "boolean"
	case nil:
		return "null"
	default:
		return "number"
	}
}
