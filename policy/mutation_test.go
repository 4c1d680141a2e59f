package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// needed are the facts that the built-in policy needs for a promotion, by their
// paths, and the rules that deny when one of them is missing or another. All
// other facts change nothing.
var needed = map[string]string{
	"action":                        "known order",
	"ancestry":                      "ancestry",
	"ancestry.known":                "ancestry",
	"ancestry.ancestors":            "ancestry",
	"ancestry.ancestors[0]":         "",
	"ancestry.ancestors[0].revoked": "ancestry",
	"been_in":                       "order",
	"been_in[0]":                    "order",
	"channel":                       "known order",
	"channels":                      "known order",
	"channels[0]":                   "order",
	"channels[1]":                   "known order",
	"digest":                        "provenance",
	"image":                         "provenance",
	"provenance":                    "provenance",
	"provenance.image":              "provenance",
	"provenance.present":            "provenance",
	"provenance.subject":            "provenance",
	"provenance.trusted":            "provenance",
	"revoked":                       "revoked",
	"sbom":                          "sbom",
	"sbom.present":                  "sbom",
	"sbom.trusted":                  "sbom",
	"scan":                          "scan",
	"scan.passed":                   "scan",
	"scan.present":                  "scan",
	"scan.trusted":                  "scan",
	"signatures":                    "signature",
	"signatures[0]":                 "signature",
	"signatures[0].key_id":          "signature",
	"signatures[0].trusted":         "signature",
	"tests":                         "tests",
	"tests[0]":                      "tests",
	"tests[0].passed":               "tests",
	"tests[0].trusted":              "tests",
	"tier":                          "tier",
}

// unread are changes of needed facts that deny in another way than by a rule,
// or not at all.
var unread = map[string]string{
	// What every fact document has is required before any rule is asked.
	"action removed": "policy", "channel removed": "policy", "channels removed": "policy", "digest removed": "policy",
	"image removed": "policy", "now removed": "policy",
	"action null": "policy", "channel null": "policy", "channels null": "policy", "digest null": "policy", "image null": "policy",
	"now null": "policy",
	// Other words for the same.
	"signatures[0].key_id changed": "",
	// An ancestor fewer is one reason fewer.
	"ancestry.ancestors emptied": "",
	// Without the first channel, staging is the first itself.
	"channels[0] removed": "",
	"channels[1] removed": "known order",
	// Empty words are no image and no digest.
	"digest emptied": "known order provenance", "image emptied": "known order provenance",
	"action emptied": "known order",
	// What is no object breaks the rule that looks into it, which denies.
	"ancestry.ancestors[0] null": "policy", "tests[0] null": "policy",
}

// Every single fact of an allowed version, removed, made null, emptied or
// changed, is denied by just the rule that is about it.
func TestDefaultNeedsEveryFact(t *testing.T) {
	text, err := good().Canonical()
	if err != nil {
		t.Fatal(err)
	}
	p := Default()
	seen := map[string]bool{}
	for _, c := range changes(t, text) {
		seen[c.path] = true
		want, special := unread[c.path+" "+c.how]
		if !special {
			want = needed[c.path]
		}
		d, _ := p.EvaluateText(t.Context(), c.text)
		var rules []string
		for _, r := range d.Reasons {
			if !slices.Contains(rules, r.Rule) {
				rules = append(rules, r.Rule)
			}
		}
		if got := strings.Join(rules, " "); got != want || d.Allow != (want == "") {
			t.Errorf("%s %s: allow %v, denied by %q, want %q (%v)", c.path, c.how, d.Allow, got, want, d.Reasons)
		}
	}
	for path := range needed {
		if !seen[path] {
			t.Errorf("no change of %s was tried", path)
		}
	}
}

// change is canonical facts with one thing in them changed.
type change struct {
	path, how string
	text      []byte
}

// changes are all of text, each made in four ways where they are possible.
func changes(t *testing.T, text []byte) []change {
	t.Helper()
	var list []change
	for i := 0; ; i++ {
		more := false
		for _, how := range []string{"removed", "null", "emptied", "changed"} {
			var doc any
			if err := json.Unmarshal(text, &doc); err != nil {
				t.Fatal(err)
			}
			w := walker{left: i, how: how}
			doc = w.visit("", doc)
			if w.path == "" {
				continue
			}
			more = true
			if !w.made {
				continue
			}
			changed, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ParseFacts(changed); err != nil {
				continue // of another type: refused before any rule is asked
			}
			list = append(list, change{w.path, how, changed})
		}
		if !more {
			return list
		}
	}
}

// walker changes the value that it comes to after left others.
type walker struct {
	left int
	how  string
	path string // of what it came to
	made bool
}

type removed struct{}

func (w *walker) visit(path string, v any) any {
	if path != "" && w.path == "" {
		if w.left == 0 {
			w.path = path
			return w.change(v)
		}
		w.left--
	}
	switch v := v.(type) {
	case map[string]any:
		for _, key := range sortedKeys(v) {
			at := strings.TrimPrefix(path+"."+key, ".")
			if v[key] = w.visit(at, v[key]); v[key] == (removed{}) {
				delete(v, key)
			}
		}
	case []any:
		for i := range v {
			v[i] = w.visit(fmt.Sprintf("%s[%d]", path, i), v[i])
		}
		return slices.DeleteFunc(v, func(e any) bool { return e == removed{} })
	}
	return v
}

func (w *walker) change(v any) any {
	w.made = true
	switch w.how {
	case "removed":
		return removed{}
	case "null":
		w.made = v != nil
		return nil
	case "emptied":
		switch v := v.(type) {
		case string:
			w.made = v != ""
			return ""
		case []any:
			w.made = len(v) > 0
			return []any{}
		}
	case "changed":
		switch v := v.(type) {
		case string:
			return v + "x"
		case bool:
			return !v
		}
	}
	w.made = false
	return v
}

func sortedKeys(m map[string]any) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
