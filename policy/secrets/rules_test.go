package secrets

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/viper"
	"github.com/zricethezav/gitleaks/v8/config"
)

// Rules compiled one by one are those that gitleaks itself makes of its
// configuration.
func TestRulesAreThoseOfGitleaks(t *testing.T) {
	v := viper.New()
	v.SetConfigType("toml")
	if err := v.ReadConfig(strings.NewReader(config.DefaultConfig)); err != nil {
		t.Fatal(err)
	}
	var raw config.ViperConfig
	if err := v.Unmarshal(&raw); err != nil {
		t.Fatal(err)
	}
	want, err := raw.Translate()
	if err != nil {
		t.Fatal(err)
	}
	got, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if len(got.list) != len(want.Rules) || len(got.list) < 200 {
		t.Errorf("%d rules, want %d", len(got.list), len(want.Rules))
	}
	last := ""
	for n := range got.list {
		r, err := got.list[n]()
		if err != nil {
			t.Fatal(err)
		}
		w, err := prepare(want.Rules[r.RuleID])
		if err != nil {
			t.Fatal(err)
		}
		if one, two := shown(t, r), shown(t, w); one != two || r.RuleID <= last {
			t.Errorf("rule %q after %q\n%s\nwant\n%s", r.RuleID, last, one, two)
		}
		last = r.RuleID
	}
	var global, theirs []*config.Allowlist
	for i, a := range got.global {
		both := sorted(a)
		both.Paths = got.skipped[i].Paths
		global = append(global, &both)
	}
	for _, a := range want.Allowlists {
		one := sorted(a)
		theirs = append(theirs, &one)
	}
	if one, two := text(t, global), text(t, theirs); one != two || len(global) == 0 {
		t.Errorf("for all rules\n%s\nwant\n%s", one, two)
	}
}

// sorted is a list with its stop words in order, which is gitleaks' to choose.
func sorted(a *config.Allowlist) config.Allowlist {
	list := *a
	list.StopWords = slices.Sorted(slices.Values(a.StopWords))
	return list
}

// shown is all that a rule does.
func shown(t *testing.T, r *rule) string {
	lists := make([]config.Allowlist, len(r.Allowlists))
	for i, a := range r.Allowlists {
		lists[i] = sorted(a)
	}
	return text(t, []any{r.RuleID, r.Regex, r.Path, r.Entropy, r.SecretGroup, r.Keywords, r.window, r.lines, r.assigned, r.starts, lists})
}

func text(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
