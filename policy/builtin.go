package policy

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed default.rego
var defaultSource []byte

//go:embed examples/*.rego
var exampleFiles embed.FS

// Default is the built-in policy: signed, tested, scanned, with a bill of
// materials and provenance, on nothing that is revoked, channels in their
// order. It is compiled at its first evaluation.
func Default() *Policy {
	p := prepare(Spec{Default: true}.builtIn())
	p.builtIn = true
	return p
}

// Example is a packaged part of a policy that a Spec can name. Its parameters,
// which data.config.NAME gives, are the rule defaults in its source.
type Example struct {
	Name   string
	Title  string // one sentence
	Source []byte
	Test   []byte // its unit tests
}

// Examples lists them by name.
func Examples() []Example {
	entries, err := exampleFiles.ReadDir("examples")
	if err != nil {
		panic(err) // embedded
	}
	var list []Example
	for _, e := range entries {
		if isTest(e.Name()) {
			continue
		}
		name := strings.TrimSuffix(e.Name(), ".rego")
		source := embedded("examples/" + e.Name())
		list = append(list, Example{
			Name: name, Title: title(source), Source: source, Test: embedded("examples/" + name + "_test.rego"),
		})
	}
	return list
}

// title is the first sentence of the comment that begins a source.
func title(source []byte) string {
	comment, _, _ := strings.Cut(string(source), "\n#\n")
	comment, _, _ = strings.Cut(comment, "\npackage ")
	text := strings.ReplaceAll(strings.TrimPrefix(comment, "# "), "\n# ", " ")
	sentence, _, _ := strings.Cut(text, ". ")
	return strings.TrimSuffix(sentence, ".") + "."
}

// example is one of them by its name.
func example(name string) (Example, error) {
	all := Examples()
	i := slices.IndexFunc(all, func(e Example) bool { return e.Name == name })
	if i < 0 {
		names := make([]string, len(all))
		for i, e := range all {
			names[i] = e.Name
		}
		return Example{}, fmt.Errorf("there is no example %q; there are %s", name, strings.Join(names, ", "))
	}
	return all[i], nil
}

func embedded(name string) []byte {
	text, err := exampleFiles.ReadFile(name)
	if err != nil {
		panic(err) // embedded
	}
	return text
}
