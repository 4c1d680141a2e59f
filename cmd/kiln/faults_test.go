package main

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var namedTest = regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)[A-Za-z0-9_]+)(?:/([a-z0-9_]+))?`")

// TestFaultsDoc: docs/faults.md has every row that concerns the registry, and
// names tests that there are.
func TestFaultsDoc(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "faults.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{} // by the last part of the package's path, or all of it
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
	parts := map[string]bool{}
	for _, f := range sources(t) {
		for _, m := range declared.FindAllStringSubmatch(string(f.data), -1) {
			tests[path.Base(f.pkg)+"."+m[1]], tests[f.pkg+"."+m[1]] = true, true
		}
		if f.name == "registry/registrytest/registrytest.go" {
			for _, m := range regexp.MustCompile(`\{"([a-z0-9 ]+)", test`).FindAllStringSubmatch(string(f.data), -1) {
				parts[strings.ReplaceAll(m[1], " ", "_")] = true
			}
		}
	}
	rows := map[string]bool{}
	for line := range strings.Lines(string(doc)) {
		number, rest, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if !ok || strings.Trim(number, "0123456789") != "" {
			continue
		}
		rows[number] = true
		found := namedTest.FindAllStringSubmatch(rest, -1)
		if len(found) == 0 {
			t.Errorf("row %s names no test", number)
		}
		for _, m := range found {
			if !tests[m[1]+"."+m[2]] {
				t.Errorf("row %s: there is no %s.%s", number, m[1], m[2])
			}
			if m[3] != "" && !parts[m[3]] {
				t.Errorf("row %s: the suite has no part %s", number, m[3])
			}
		}
	}
	for _, number := range strings.Fields("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 38 39 40 41 42 43") {
		if !rows[number] {
			t.Errorf("row %s is missing", number)
		}
	}
}
