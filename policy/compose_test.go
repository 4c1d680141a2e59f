package policy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

func files(name, text string) map[string][]byte { return map[string][]byte{name: []byte(text)} }

// FAULTS 36: nothing that a user adds makes the other parts weaker.
func TestComposeRefuses(t *testing.T) {
	soak := []string{"soak"}
	for _, tc := range []struct {
		name string
		spec Spec
		want string
	}{
		{"nothing", Spec{}, "it has no part"},
		{"tests alone", Spec{Files: files("a_test.rego", "package kiln\ntest_a if true")}, "it has no part"},
		{"an unknown example", Spec{Examples: []string{"sook"}}, `no example "sook"; there are approvals, base,`},
		{"an example twice", Spec{Examples: []string{"soak", "soak"}}, "named twice"},
		{"kiln's own package", Spec{Default: true, Files: files("a.rego", "package kiln_default\nsigned := true")}, "is one of kiln's own"},
		{"a part of an example", Spec{Examples: soak, Files: files("a.rego", "package kiln_examples.soak\nsoaked := true")}, "is one of kiln's own"},
		{"kiln's own file", Spec{Default: true, Files: files("kiln-default.rego", "package kiln\nallow := true")}, "names that begin with kiln-"},
		{"data over kiln", Spec{Default: true, Files: files("data.json", `{"kiln": {"deny": []}}`)}, "cannot stand in"},
		{"data over a part", Spec{Default: true, Files: files("kiln_default/data.json", `{"deny": []}`)}, "cannot stand in"},
		{"data twice", Spec{Default: true, Files: files("data.json", `{"config": {"a": 1}}`), Config: json.RawMessage(`{"a": 2}`)}, "data.config.a is given twice"},
		{"data that is a list", Spec{Default: true, Files: files("data.json", `[]`)}, "want an object"},
		{"config that is a list", Spec{Default: true, Config: json.RawMessage(`[]`)}, "data.config is given twice"},
		{"an unknown parameter", Spec{Examples: soak, Config: json.RawMessage(`{"soak": {"hour": 1}}`)}, `soak has no parameter "hour"; it has channels, hours`},
		{"a parameter of another type", Spec{Examples: soak, Config: json.RawMessage(`{"soak": {"hours": "1"}}`)}, "the parameter hours of soak is a string; want a number"},
		{"a parameter that is null", Spec{Examples: soak, Config: json.RawMessage(`{"soak": {"hours": null}}`)}, "is a null"},
		{"parameters in a bundle", Spec{Examples: soak, Files: files("data.json", `{"config": {"soak": {"hour": 1}}}`)}, `no parameter "hour"`},
		{"an example that forbids nothing", Spec{Examples: []string{"freeze"}}, "give it windows or weekly"},
		{"with empty lists", Spec{Examples: []string{"freeze"}, Config: json.RawMessage(`{"freeze": {"windows": []}}`)}, "give it windows or weekly"},
		{"a day that there is not", Spec{Examples: []string{"freeze"}, Config: json.RawMessage(`{"freeze": {"windows": [{"from": "2026-11-31", "to": "2026-12-24T00:00:00Z"}]}}`)}, `freeze: windows: from of entry 1 is "2026-11-31"; want a time in RFC 3339, such as 2026-12-20T15:00:00Z, or a day, 2026-12-20, for when it begins in UTC`},
		{"two examples", Spec{Examples: []string{"soak", "freeze"}, Config: json.RawMessage(`{"soak": {"hour": 1, "channels": "prod"}, "freeze": {"weekly": 1}}`)}, "load policy: the parameter weekly of freeze is a number; want a list\nthe parameter channels of soak is a string; want a list\nsoak has no parameter \"hour\"; it has channels, hours"},
		{"a window without an end", Spec{Examples: []string{"freeze"}, Config: json.RawMessage(`{"freeze": {"windows": [{"from": "2026-11-24T00:00:00Z"}]}}`)}, `to of entry 1 is ""`},
		{"until some day", Spec{Examples: []string{"vulnerabilities"}, Config: json.RawMessage(`{"vulnerabilities": {"ignore": [{"id": "CVE-1", "until": "soon", "reason": "x"}]}}`)}, `ignore: until of entry 1 is "soon"`},
		{"parameters for a part that there is not", Spec{Examples: soak, Config: json.RawMessage(`{"soack": {"hours": 72}}`)}, "data.config.soack is read by no part"},
		{"rules that stand in for parameters", Spec{Examples: soak, Files: files("a.rego", "package config.soak\nhours := 0"), Config: json.RawMessage(`{"soak": {}}`)}, "would stand in for parameters"},
		{"data that adds to parameters", Spec{
			Examples: soak, Files: files("data.json", `{"config": {"soak": {"channels": ["dev"]}}}`), Config: json.RawMessage(`{"soak": {"hours": 72}}`),
		}, "data.config.soak is given twice"},
		{"denials that deny nothing", Spec{Default: true, Files: files("a.rego", "package kiln\ndeny := set()")}, "conflicting rules"},
		{"denials by default", Spec{Default: true, Files: files("a.rego", "package kiln\ndefault deny := set()")}, "conflicting rules"},
		{"denials of one element", Spec{Default: true, Files: files("a.rego", "package kiln\ndeny.x := 1")}, "conflicts with"},
		{"a package over the denials", Spec{Default: true, Files: map[string][]byte{
			"a.rego": []byte("package kiln.deny\nx := 1"), "u.rego": []byte("package kiln\ndeny contains \"mine\" if true"),
		}}, "conflicts with rule deny"},
		{"rules in another package", Spec{Default: true, Files: files("w.rego", "package kilm\n\ndeny contains \"no\" if { true }")}, "w.rego:3: a rule deny counts only in package kiln, and this one is in package kilm, which nothing refers to: did you mean package kiln?"},
		{"permission in another package", Spec{Files: files("w.rego", "package kiln.x\nallow if true")}, "in package kiln.x, which nothing refers to"},
		{"one of two files in another package", Spec{Default: true, Files: map[string][]byte{
			"a.rego": []byte("package kiln\ndeny contains \"a\" if false"), "b.rego": []byte("package kilm\ndeny contains \"b\" if true"),
		}}, "b.rego:2: a rule deny counts only in package kiln"},
		{"rules of another name", Spec{Default: true, Files: files("w.rego", "package kiln\ndenny contains \"no\" if true")}, "w.rego:2: no file has a rule deny or allow"},
		{"helpers alone", Spec{Default: true, Files: files("w.rego", "package team\nfrozen if true")}, "w.rego:1: package team, and no file has a rule deny or allow in package kiln"},
		{"rules in tests alone", Spec{Default: true, Files: map[string][]byte{
			"w.rego": []byte("package team\nfrozen if true"), "w_test.rego": []byte("package kiln\ndeny contains \"no\" if data.team.frozen"),
		}}, "w.rego:1: package team"},
		{"a function of that name", Spec{Files: files("w.rego", "package kiln\ndeny(x) if x")}, "w.rego:2: no file has a rule deny or allow"},
		{"a giant file", Spec{Default: true, Files: files("a.rego", strings.Repeat("#", MaxSource+1))}, "over the limit"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if p, err := Compose(tc.spec); p != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestCompose(t *testing.T) {
	deny := files("u.rego", "package kiln\ndeny contains \"mine\" if input.channel == \"staging\"")
	allow := files("u.rego", "package kiln\nallow := true")
	for _, tc := range []struct {
		name   string
		spec   Spec
		change func(*Facts)
		rules  string
	}{
		{"the built-in one", Spec{Default: true}, nil, ""},
		{"a denial of the user's", Spec{Default: true, Files: deny}, nil, "deny"},
		{"of both", Spec{Default: true, Files: deny}, func(f *Facts) { f.Revoked = true }, "deny revoked"},
		{"allowing all allows nothing more", Spec{Default: true, Files: allow}, func(f *Facts) { f.Revoked = true }, "revoked"},
		{"allowing all", Spec{Default: true, Files: allow}, nil, ""},
		{"allowing less", Spec{Default: true, Files: files("u.rego", "package kiln\nallow if input.channel == \"dev\"")}, nil, "policy"},
		{"a helper of the same name", Spec{Default: true, Files: files("u.rego", "package kiln\nsigned := true\ndeny contains \"mine\" if not signed")}, func(f *Facts) { f.Signatures = nil }, "signature"},
		{"denials alone allow nothing", Spec{Files: deny}, func(f *Facts) { f.Channel = "dev" }, "policy"},
		{"allowing other facts", Spec{Default: true, Files: files("u.rego", "package kiln\nallow if count(deny) == 0 with input as {}\nallow if count(deny) == 0 with data.kiln_default.deny as set()")}, func(f *Facts) { f.Revoked = true }, "revoked"},
		{"without the built-in one", Spec{Files: allow}, func(f *Facts) { *f = Facts{Action: "promote", Image: "a", Digest: "b", Channel: "c"} }, ""},
		{"an example alone", Spec{Examples: []string{"soak"}}, func(f *Facts) { f.Signatures = nil }, "soak"},
		{"two", Spec{Examples: []string{"soak", "approvals"}, Default: true}, nil, "approvals approvals soak"},
		{"a misspelt channel", Spec{
			Examples: []string{"soak"}, Config: json.RawMessage(`{"soak": {"channels": ["production"]}}`),
		}, nil, "config"},
		{"helpers beside, with denials of their own", Spec{Default: true, Files: map[string][]byte{
			"u.rego":    []byte("package kiln\nimport data.team\ndeny contains \"mine\" if count(team.deny) > 0"),
			"team.rego": []byte("package team\ndeny contains \"theirs\" if input.channel == \"staging\""),
		}}, nil, "deny"},
		{"documents of the user's", Spec{Default: true, Files: map[string][]byte{
			"u.rego":         []byte("package kiln\ndeny contains \"mine\" if input.image in data.team.frozen"),
			"team/data.yaml": []byte("frozen: [acme/shop]"),
		}}, nil, "deny"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := Compose(tc.spec)
			if err != nil {
				t.Fatal(err)
			}
			f := good()
			if tc.change != nil {
				tc.change(&f)
			}
			here, err := p.Evaluate(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			var rules []string
			for _, r := range here.Reasons {
				rules = append(rules, r.Rule)
			}
			slices.Sort(rules)
			if got := strings.Join(rules, " "); got != tc.rules || here.Allow != (tc.rules == "") {
				t.Errorf("allow %v, denied by %q (%v), want %q", here.Allow, got, here.Reasons, tc.rules)
			}
			again, err := Load(p.Source())
			if err != nil || again.Digest() != p.Digest() {
				t.Fatalf("its source is loaded as %v (%v), want %v", again.Digest(), err, p.Digest())
			}
			apart, err := again.Isolated().Evaluate(t.Context(), f)
			if err != nil || apart.Allow != here.Allow || !slices.Equal(apart.Reasons, here.Reasons) || apart.Facts != here.Facts {
				t.Errorf("apart %+v (%v), here %+v", apart, err, here)
			}
		})
	}
	p, err := Compose(Spec{Default: true})
	if err != nil || p.Digest() != Default().Digest() {
		t.Errorf("composed alone the built-in policy is %v (%v), want %v", p.Digest(), err, Default().Digest())
	}
	if p.Isolated() != p {
		t.Error("what is built in is evaluated apart")
	}
}

// Every parameter in a source is one that Compose knows.
func TestExamplesTellTheirParameters(t *testing.T) {
	for _, e := range Examples() {
		defaults, required, err := e.Parameters()
		if err != nil || len(defaults) == 0 || e.Title == "" || !slices.ContainsFunc([]string{"channels"}, func(name string) bool { return defaults[name] != nil }) {
			t.Errorf("%s: %q %v %v", e.Name, e.Title, defaults, err)
		}
		for _, name := range required {
			if defaults[name] == nil {
				t.Errorf("%s requires %s, which it has not", e.Name, name)
			}
		}
	}
}

// A title that is cut where its line ends says something else.
func TestTitlesAreSentences(t *testing.T) {
	for source, want := range map[string]string{
		"# One line.\npackage a\n":                               "One line.",
		"# Broken where\n# it had to be. And more.\npackage a\n": "Broken where it had to be.",
		"# A sentence\n# of two lines.\n#\n# More.\npackage a\n": "A sentence of two lines.",
	} {
		if got := title([]byte(source)); got != want {
			t.Errorf("%q: %q, want %q", source, got, want)
		}
	}
}

func TestRunTests(t *testing.T) {
	run := func(text string) (Report, error) {
		return RunTests(t.Context(), Spec{Default: true, Files: files("a_test.rego", text)})
	}
	report, err := run("package a_test\n\ntest_right if true\n\ntest_wrong if {\n\tx := 1\n\tprint(\"seen\", x)\n\tx == 2\n}\n\ntest_broken if to_number(\"a\") == 1\n\ntodo_test_later if false\n")
	if err != nil || report.Passed != 1 || report.Failed != 2 || report.Skipped != 1 {
		t.Fatalf("%+v (%v)", report, err)
	}
	for i, want := range []TestResult{
		{Name: "a_test.test_right", Line: 3, Passed: true},
		{Name: "a_test.test_wrong", Line: 5, Message: "line 8 is not so: x == 2", Output: "seen 1\n"},
		{Name: "a_test.test_broken", Line: 11, Message: "to_number"},
		{Name: "a_test.todo_test_later", Line: 13, Skipped: true},
	} {
		got := report.Tests[i]
		if got.Name != want.Name || got.Line != want.Line || got.Passed != want.Passed || got.Skipped != want.Skipped ||
			got.Output != want.Output || !strings.Contains(got.Message, want.Message) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if _, err := run("package a_test\nx := 1\n"); err == nil || !strings.Contains(err.Error(), "there is no test") {
		t.Errorf("without a test: %v", err)
	}
	if _, err := run("package a_test\ntest_a if http.send({}).x"); err == nil || !strings.Contains(err.Error(), "undefined function") {
		t.Errorf("with a network: %v", err)
	}
}

// What a policy sees of a Go value is what it sees of its text.
func TestDocuments(t *testing.T) {
	for name, f := range map[string]Facts{"full": everything(t), "good": good(), "empty": {Action: "a", Channel: "c", Digest: "d", Image: "i"}} {
		f = f.normal()
		text, err := f.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		read, _, err := readDocument(text)
		if err != nil || read.Compare(f.document()) != 0 {
			t.Errorf("%s: %v (%v)\nis not\n%v", name, read, err, f.document())
		}
		// Also where one looks at a part alone.
		part := ast.MustParseRef("input.soak.since")[1:]
		a, errA := read.Find(part)
		b, errB := f.document().Find(part)
		if errA != nil || errB != nil || a.Compare(b) != 0 {
			t.Errorf("%s: since is %v (%v) and %v (%v)", name, a, errA, b, errB)
		}
	}
}
