package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

// Report is what unit tests of a policy said.
type Report struct {
	Passed  int          `json:"passed"`
	Failed  int          `json:"failed"`
	Skipped int          `json:"skipped"` // their names begin with todo_
	Tests   []TestResult `json:"tests"`
}

// TestResult is the outcome of one rule test_… in the policy's files.
type TestResult struct {
	Name    string  `json:"name"` // package and rule
	File    string  `json:"file"`
	Line    int     `json:"line"`
	Passed  bool    `json:"passed"`
	Skipped bool    `json:"skipped"`
	Message string  `json:"message,omitempty"` // what was not true, or the error
	Output  string  `json:"output,omitempty"`  // of print
	Seconds float64 `json:"seconds"`
}

// RunTests runs the unit tests among the files of s: rules whose names begin with
// test_, as `opa test` does, with the functions that a policy may call and
// Timeout for each. It is an error where there is none.
func RunTests(ctx context.Context, s Spec) (Report, error) {
	files, err := s.files()
	if err != nil {
		return Report{}, fmt.Errorf("test policy: %w", err)
	}
	return runTests(ctx, files)
}

func runTests(ctx context.Context, files map[string][]byte) (Report, error) {
	modules, err := parse(files)
	if err != nil {
		return Report{}, fmt.Errorf("test policy: %w", err)
	}
	data, err := documents(files)
	if err != nil {
		return Report{}, fmt.Errorf("test policy: %w", err)
	}
	store := inmem.NewFromObject(data)
	compiler := ast.NewCompiler().WithCapabilities(capabilities()).WithEnablePrintStatements(true)
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("test policy: %w", err)
	}
	defer store.Abort(ctx, txn)
	results, err := tester.NewRunner().SetCompiler(compiler).SetStore(store).CapturePrintOutput(true).
		RaiseBuiltinErrors(true).SetTimeout(Timeout).SetParallel(1).SetModules(modules).SetDefaultRegoVersion(ast.RegoV1).
		RunTests(ctx, txn)
	if err != nil {
		return Report{}, fmt.Errorf("test policy: %w", err)
	}
	var report Report
	for r := range results {
		report.add(r)
	}
	if len(report.Tests) == 0 {
		return Report{}, errors.New("test policy: there is no test; write rules whose names begin with test_ into files that end in _test.rego")
	}
	slices.SortStableFunc(report.Tests, func(a, b TestResult) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Name, b.Name))
	})
	return report, ctx.Err()
}

func (report *Report) add(r *tester.Result) {
	t := TestResult{
		Name: strings.TrimPrefix(r.Package, "data.") + "." + r.Name, Passed: r.Pass(), Skipped: r.Skip,
		Output: clip(string(r.Output)), Seconds: r.Duration.Seconds(),
	}
	if r.Location != nil {
		t.File, t.Line = r.Location.File, r.Location.Row
	}
	switch {
	case r.Skip:
		report.Skipped++
		t.Passed = false
	case r.Pass():
		report.Passed++
	default:
		report.Failed++
		t.Message = clip(complaint(r))
	}
	report.Tests = append(report.Tests, t)
}

// complaint says why a test failed: the error, or the first thing in it that
// was not so.
func complaint(r *tester.Result) string {
	switch {
	case r.Error != nil:
		return r.Error.Error()
	case r.FailedAt != nil && r.FailedAt.Location != nil:
		return fmt.Sprintf("line %d is not so: %s", r.FailedAt.Location.Row, strings.TrimSpace(string(r.FailedAt.Location.Text)))
	default:
		return "it is not true"
	}
}
