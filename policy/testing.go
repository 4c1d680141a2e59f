package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
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
	var report Report
	var silent []string // failed and did not say why
	err := eachTest(ctx, files, "", func(r *tester.Result) {
		report.add(r)
		if r.Fail && r.Error == nil {
			silent = append(silent, regexp.QuoteMeta(r.Package+"."+r.Name))
		}
	})
	if err != nil {
		return Report{}, fmt.Errorf("test policy: %w", err)
	}
	if len(silent) > 0 {
		err := eachTest(ctx, files, "^("+strings.Join(silent, "|")+")$", report.explain)
		if err != nil {
			return Report{}, fmt.Errorf("test policy: %w", err)
		}
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
		Name: testName(r), Passed: r.Pass(), Skipped: r.Skip,
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

// complaint says why a test failed, where that is known.
func complaint(r *tester.Result) string {
	if r.Error != nil {
		return r.Error.Error()
	}
	return "it is not true"
}

// explain adds to a failed test the last thing in its file that was not so.
func (report *Report) explain(r *tester.Result) {
	i := slices.IndexFunc(report.Tests, func(t TestResult) bool {
		return t.Name == testName(r) && r.Location != nil && t.Line == r.Location.Row && t.File == r.Location.File
	})
	if i < 0 {
		return
	}
	for _, e := range slices.Backward(r.Trace) {
		if e.Op == topdown.FailOp && e.Location != nil && e.Location.File == report.Tests[i].File {
			report.Tests[i].Message = clip(fmt.Sprintf("line %d is not so: %s", e.Location.Row, strings.TrimSpace(string(e.Location.Text))))
			return
		}
	}
}

func testName(r *tester.Result) string { return strings.TrimPrefix(r.Package, "data.") + "." + r.Name }

// eachTest runs the tests whose names match filter, all for "". With a filter
// they are traced, which takes memory.
func eachTest(ctx context.Context, files map[string][]byte, filter string, each func(*tester.Result)) error {
	modules, err := parse(files)
	if err != nil {
		return err
	}
	data, err := documents(files)
	if err != nil {
		return err
	}
	store := inmem.NewFromObject(data)
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return err
	}
	defer store.Abort(ctx, txn)
	results, err := tester.NewRunner().
		SetCompiler(ast.NewCompiler().WithCapabilities(capabilities()).WithEnablePrintStatements(true)).
		SetStore(store).CapturePrintOutput(true).EnableTracing(filter != "").Filter(filter).
		RaiseBuiltinErrors(true).SetTimeout(Timeout).SetParallel(1).SetModules(modules).
		RunTests(ctx, txn)
	if err != nil {
		return err
	}
	for r := range results {
		each(r)
	}
	return nil
}
