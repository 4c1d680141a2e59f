package policy

import (
	"maps"
	"os"
	"testing"
)

// The built-in policy and every example pass their own unit tests.
func TestRego(t *testing.T) {
	spec := Spec{Default: true}
	tests, err := os.ReadFile("default_test.rego")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"default_test.rego": tests}
	for _, e := range Examples() {
		spec.Examples = append(spec.Examples, e.Name)
		files[e.Name+"_test.rego"] = e.Test
	}
	maps.Copy(files, spec.builtIn())
	report, err := runTests(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Tests {
		if !r.Passed {
			t.Errorf("%s:%d: %s: %s\n%s", r.File, r.Line, r.Name, r.Message, r.Output)
		}
	}
	if report.Passed < 100 {
		t.Errorf("only %d tests", report.Passed)
	}
}
