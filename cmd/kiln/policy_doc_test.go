package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kiln/policy"
)

// Every block of docs/policy.md is taken as it stands.
func TestPolicyDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "policies"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("policies/own.rego", "package kiln\n\ndeny contains \"no\" if input.image == \"\"\n")
	files, blocks := map[string][]byte{}, 0
	for _, m := range regexp.MustCompile("(?s)```(hcl|rego)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		kind, block := m[1], m[2]
		blocks++
		switch {
		case kind == "hcl":
			cfg, err := loadPolicyFile(write("policy.hcl", strings.ReplaceAll(block, "sha256:…", "sha256:"+strings.Repeat("a", 64))))
			if err == nil {
				cfg.bundles = nil
				_, err = cfg.compose(t.Context(), nil)
			}
			if err != nil {
				t.Errorf("%s\n%v", block, err)
			}
		case strings.Contains(block, "\ntest_"):
			files["a_test.rego"] = []byte(block)
		default:
			files[strings.Repeat("a", blocks)+".rego"] = []byte(block)
			if _, err := policy.Load(files); err != nil {
				t.Errorf("%s\n%v", block, err)
			}
		}
	}
	if report, err := policy.RunTests(t.Context(), policy.Spec{Default: true, Files: files}); err != nil || report.Failed > 0 || report.Passed == 0 {
		t.Errorf("%+v (%v)", report, err)
	}
	if blocks < 6 {
		t.Errorf("only %d blocks", blocks)
	}
	for _, e := range policy.Examples() {
		if !strings.Contains(string(text), "| `"+e.Name+"` |") {
			t.Errorf("the example %s is not in the table", e.Name)
		}
		parameters, _, err := e.Parameters()
		if err != nil {
			t.Fatal(err)
		}
		for name := range parameters {
			if !strings.Contains(string(text), name) {
				t.Errorf("%s: the parameter %s is not in the document", e.Name, name)
			}
		}
	}
	raw, err := policy.Facts{}.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`"(\w+)":`).FindAllStringSubmatch(string(raw), -1) {
		if !strings.Contains(string(text), m[1]) {
			t.Errorf("the fact %s is not in the document", m[1])
		}
	}
}
