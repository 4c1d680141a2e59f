package secrets

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/zricethezav/gitleaks/v8/config"
)

// engine is part of the version: raise it when the same rules would find
// something else.
const engine = "kiln.secrets/v3"

// heuristic is the rule that guesses by names and randomness.
const heuristic = "generic-api-key"

// assignment is how most rules continue behind their keyword.
const assignment = `(?:[ \t\w.-]{0,20})[\s'"]{0,3}(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)`

// Windows around a keyword, in bytes.
const (
	slack     = 16       // beyond the width of an expression, for what it asserts around it
	farWindow = 16 << 10 // of an expression without a bound
)

// rule is a rule as the engine needs it.
type rule struct {
	config.Rule
	window   int         // bytes around a keyword that a match lies in; 0 for the whole text
	lines    int         // that a match has, besides the window around its keyword; 0 without lines of any length
	assigned bool        // something is assigned behind the keyword
	names    []string    // of which one stands before the keyword, unless empty
	starts   bool        // the keyword begins a word
	begin    []beginning // of matches, each with a keyword; nil if not all have one there
}

// rules are all rules, in an order that is always the same.
type rules struct {
	list     []func() (*rule, error)
	global   []*config.Allowlist // of gitleaks, without paths
	skipped  []*config.Allowlist // paths that gitleaks skips
	keywords *automaton
	users    [][]uint16 // keyword -> rules
	always   []uint16   // rules without a keyword
}

// Version names rules and engine: whoever keeps results makes it part of the
// key.
func Version() string {
	sum := sha256.Sum256([]byte(engine + "\x00" + config.DefaultConfig))
	return hex.EncodeToString(sum[:])
}

// RuleNames lists the rules, sorted.
func RuleNames() []string {
	raw, err := decode(config.DefaultConfig)
	if err != nil { // which every scan says
		return nil
	}
	names := make([]string, len(raw.Rules))
	for i, r := range raw.Rules {
		names[i] = r.ID
	}
	slices.Sort(names)
	return names
}

// load reads the rules. Each is compiled when a text first has a keyword of it,
// as that takes longest and most texts have few.
func load() (*rules, error) {
	raw, err := decode(config.DefaultConfig)
	if err != nil {
		return nil, fmt.Errorf("rules for secrets: %w", err)
	}
	c, err := (&config.ViperConfig{AllowList: raw.AllowList}).Translate()
	if err != nil {
		return nil, fmt.Errorf("rules for secrets: %w", err)
	}
	r := &rules{}
	r.allowlists(c.Allowlists)
	order := make([]int, len(raw.Rules))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return strings.Compare(raw.Rules[i].ID, raw.Rules[j].ID) })
	index := map[string][]uint16{}
	for n, i := range order {
		one := config.ViperConfig{Rules: raw.Rules[i : i+1]}
		r.list = append(r.list, sync.OnceValues(func() (*rule, error) { return compile(&one) }))
		if len(one.Rules[0].Keywords) == 0 {
			r.always = append(r.always, uint16(n))
		}
		for _, k := range one.Rules[0].Keywords {
			k = strings.ToLower(k)
			index[k] = append(index[k], uint16(n))
		}
	}
	words := slices.Sorted(maps.Keys(index))
	r.keywords = newAutomaton(words)
	for _, k := range words {
		r.users = append(r.users, index[k])
	}
	return r, nil
}

// decode reads gitleaks' configuration. The fields of its list for all rules
// are embedded, which the TOML decoder passes over.
func decode(text string) (raw config.ViperConfig, err error) {
	var list struct {
		AllowList struct {
			Description, Condition, RegexTarget string
			Commits, Paths, Regexes, StopWords  []string
		}
	}
	before, _, _ := strings.Cut(text, "[[rules]]") // the list for all rules stands first
	if err := errors.Join(toml.Unmarshal([]byte(text), &raw), toml.Unmarshal([]byte(before), &list)); err != nil {
		return raw, err
	}
	if raw.AllowList == nil {
		return raw, errors.New("no allowlist for all rules")
	}
	from, a := list.AllowList, raw.AllowList
	a.Description, a.Condition, a.RegexTarget = from.Description, from.Condition, from.RegexTarget
	a.Commits, a.Paths, a.Regexes, a.StopWords = from.Commits, from.Paths, from.Regexes, from.StopWords
	return raw, nil
}

// compile makes the one rule of a configuration.
func compile(one *config.ViperConfig) (*rule, error) {
	c, err := one.Translate()
	if err != nil {
		return nil, fmt.Errorf("rules for secrets: %w", err)
	}
	return prepare(c.Rules[one.Rules[0].ID])
}

// allowlists parts gitleaks' list for all rules: paths count for the heuristic
// rule only.
func (r *rules) allowlists(all []*config.Allowlist) {
	for _, a := range all {
		r.skipped = append(r.skipped, &config.Allowlist{Paths: a.Paths})
		content := *a
		content.Paths = nil
		r.global = append(r.global, &content)
	}
}

// prepare finds out where a rule's matches lie around its keywords.
func prepare(c config.Rule) (*rule, error) {
	r := &rule{Rule: c}
	if c.Regex == nil {
		return r, nil
	}
	re, err := syntax.Parse(c.Regex.String(), syntax.Perl)
	if err != nil {
		return r, fmt.Errorf("rule %s: %w", c.RuleID, err)
	}
	if len(c.Keywords) == 0 || !contains(re, c.Keywords) {
		return r, nil
	}
	w := width(re)
	if w >= lineWide && w < endless {
		r.lines = 1 + breaks(re)
		w = widthWith(re, 0)
	}
	r.window = min(w, farWindow) + slack
	text := c.Regex.String()
	if names := assignees(text); re.Op != syntax.OpAlternate {
		r.assigned = named(names, c.Keywords)
		if !r.assigned && plain(names) {
			r.names = names
		}
	}
	r.starts = true
	for _, k := range c.Keywords {
		r.starts = r.starts && (strings.HasPrefix(text, `\b(`+k) || strings.HasPrefix(text, `\b`+k))
	}
	if ways := beginnings(re); begins(ways, c.Keywords) {
		r.begin = ways
	}
	return r, nil
}

// assignees are the names, in lower case, to which an expression says that
// something is assigned; nil if it is of another kind.
func assignees(expression string) []string {
	before, _, found := strings.Cut(expression, assignment)
	if !found || strings.Count(expression, assignment) != 1 {
		return nil
	}
	re, err := syntax.Parse(before, syntax.Perl)
	if err != nil || re.Op != syntax.OpConcat {
		return nil
	}
	var names []string
	for i := 0; names == nil && i < len(re.Sub); i++ {
		names = concatenation(re.Sub[i:], nil).texts
	}
	return names
}

// named tells whether each name has a keyword, and nothing follows that but
// what assigns passes over. Some rules have their keywords in what is assigned.
func named(names, keywords []string) bool {
	for _, name := range names {
		if !slices.ContainsFunc(keywords, func(k string) bool {
			at := strings.LastIndex(name, k)
			return at >= 0 && !strings.ContainsFunc(name[at+len(k):], func(r rune) bool { return r >= utf8.RuneSelf || !passed(byte(r)) })
		}) {
			return false
		}
	}
	return len(names) > 0
}

// plain tells whether names have no letter that has more than two cases.
func plain(names []string) bool {
	return len(names) > 0 && !strings.ContainsFunc(strings.Join(names, ""), func(r rune) bool {
		return r >= utf8.RuneSelf || r == 'k' || r == 's'
	})
}
