package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/policy/reports"
	"kiln/sign"
)

// FAULTS 33: a giant predicate is not read to its end.
func TestPredicateTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.json")
	if err := os.WriteFile(path, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if content, err := readPredicate(path); err != nil || string(content) != "{}" {
		t.Fatalf("%q, %v", content, err)
	}
	if err := os.Truncate(path, reports.MaxSize+1); err != nil {
		t.Fatal(err)
	}
	if _, err := readPredicate(path); err == nil || !strings.Contains(err.Error(), "larger than 32 MiB") {
		t.Errorf("%v", err)
	}
}

// FAULTS 32: a type is one of those that are known or a URI, and none that
// only looks like a known one.
func TestPredicateType(t *testing.T) {
	for name, want := range map[string]string{
		"vuln": sign.VulnPredicate, "spdx": sign.SPDXPredicate, "https://example.com/x": "https://example.com/x", "urn:example:x": "urn:example:x",
		"https://spdx.dev/document": "", "https://spdx.dev/Document/": "", "HTTPS://cyclonedx.org/bom": "",
		"": "", "x": "", "x y": "", "https://": "", "https://example.com/a b": "", "https://example.com/\n": "",
		sign.SignaturePredicate: "", sign.SummaryPredicate: "", sign.PromotionPredicate: "", sign.ChannelPredicate: "", sign.ApprovalPredicate: "",
		"URN:KILN:x": "", "https://example.com/" + strings.Repeat("x", maxPredicateType): "",
	} {
		got, err := predicateType(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
	}
}
