package policy

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/open-policy-agent/opa/v1/rego"
)

// large are the facts of an image with a 2,000-package SBOM and 50
// attestations.
func large() Facts {
	f := good()
	for i := range 2000 {
		name := fmt.Sprintf("package-%d", i)
		f.SBOM.Packages = append(f.SBOM.Packages, Package{
			Name: name, Version: "1.2.3-4", Type: "deb", PURL: "pkg:deb/debian/" + name + "@1.2.3-4?arch=amd64", Licenses: []string{"GPL-2.0-only", "MIT"},
		})
	}
	for i := range 50 {
		f.Evidence = append(f.Evidence, fmt.Sprintf("sha256:%064d", i))
		f.Tests = append(f.Tests, Test{Name: fmt.Sprintf("test-%d", i), Passed: true, Trusted: true})
		f.Signatures = append(f.Signatures, Signature{KeyID: theKey, Trusted: true})
	}
	return f
}

// BenchmarkEvaluate is the built-in policy on large facts, from the Go value to
// the decision with both digests.
func BenchmarkEvaluate(b *testing.B) {
	p, f := Default(), large()
	for b.Loop() {
		if d, err := p.Evaluate(b.Context(), f); err != nil || !d.Allow {
			b.Fatal(d, err)
		}
	}
}

// BenchmarkDecide is what a promotion does with large facts: their canonical
// text, which is kept, and the built-in policy's decision about that text.
func BenchmarkDecide(b *testing.B) {
	p, f := Default(), large()
	for b.Loop() {
		text, err := f.Canonical()
		if err != nil {
			b.Fatal(err)
		}
		if d, err := p.EvaluateText(b.Context(), text); err != nil || !d.Allow {
			b.Fatal(d, err)
		}
	}
}

// BenchmarkRules is the part of that which the rules take, without digests.
func BenchmarkRules(b *testing.B) {
	p, f := Default(), large()
	query, err := p.compile()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if v, err := evaluate(b.Context(), query, f.document(), f.Now); err != nil || !v.Allow {
			b.Fatal(v, err)
		}
	}
}

// BenchmarkEvaluateLicenses has a policy besides that looks at each package.
func BenchmarkEvaluateLicenses(b *testing.B) {
	p, err := Compose(Spec{Default: true, Examples: []string{"licenses"}, Config: json.RawMessage(`{"licenses": {"deny": ["AGPL-*"]}}`)})
	if err != nil {
		b.Fatal(err)
	}
	f := large()
	for b.Loop() {
		if d, err := p.Evaluate(b.Context(), f); err != nil || !d.Allow {
			b.Fatal(d, err)
		}
	}
}

// BenchmarkEvaluateIsolated is a user's policy in its own process.
func BenchmarkEvaluateIsolated(b *testing.B) {
	p, err := Compose(Spec{Default: true, Files: map[string][]byte{"u.rego": []byte("package kiln\ndeny contains \"no\" if input.image == \"\"\n")}})
	if err != nil {
		b.Fatal(err)
	}
	p, f := p.Isolated(), large()
	for b.Loop() {
		if d, err := p.Evaluate(b.Context(), f); err != nil || !d.Allow {
			b.Fatal(d, err)
		}
	}
}

// BenchmarkPreparedQuery is OPA with one rule, prepared, as its documentation
// has it: facts is on the same large facts as a generic document, the yardstick
// for BenchmarkEvaluate and BenchmarkDecide, which may take ten times that;
// small is on next to nothing, and says what OPA costs without any facts.
func BenchmarkPreparedQuery(b *testing.B) {
	query, err := rego.New(
		rego.Query("x = data.kiln.allow"),
		rego.Module("one.rego", "package kiln\nallow if input.image == \"acme/shop\"\n"),
	).PrepareForEval(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	text, err := large().Canonical()
	if err != nil {
		b.Fatal(err)
	}
	var facts any
	if err := json.Unmarshal(text, &facts); err != nil {
		b.Fatal(err)
	}
	for name, input := range map[string]any{"facts": facts, "small": map[string]any{"image": "acme/shop"}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if rs, err := query.Eval(b.Context(), rego.EvalInput(input)); err != nil || len(rs) != 1 {
					b.Fatal(rs, err)
				}
			}
		})
	}
}
