package secrets

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"
)

// Finding is what looks like a secret.
type Finding struct {
	Rule   string
	Line   int    // from 1; 0 for the file as such
	Masked string // the secret's beginning
	Guess  bool   // by a heuristic: a name, and a value that looks random
	// Known says why the finding is none; "" for one that counts.
	Known string
}

// Scanner finds secrets. It is safe for concurrent use. Its rules are compiled
// at the first use.
type Scanner struct {
	rules func() (*rules, error)
}

// New makes a Scanner.
func New() *Scanner { return &Scanner{rules: sync.OnceValues(load)} }

// Find looks for secrets in a text and in its name, which is a path or says
// where else the text stands. Nil is for content that is no text. The findings
// are sorted, and each is there once.
func (s *Scanner) Find(name string, text []byte) ([]Finding, error) {
	r, err := s.rules()
	if err != nil {
		return nil, err
	}
	var found []match
	for _, n := range r.always {
		found = r.list[n].whole(name, text, found)
	}
	for n, spans := range r.spans(text) {
		rule := &r.list[n]
		if rule.Path != nil && !rule.Path.MatchString(name) || pathIn(rule.Allowlists, name) {
			continue
		}
		if rule.RuleID == heuristic && pathIn(r.skipped, name) {
			continue
		}
		for _, at := range spans {
			found = r.matches(rule, name, text, at, found)
		}
	}
	return report(name, text, found), nil
}

// match is a finding with the secret, which goes nowhere.
type match struct {
	rule   string
	at     int // of the match in the text; -1 for the file as such
	secret string
}

// whole is for rules that no keyword leads to.
func (r *rule) whole(name string, text []byte, found []match) []match {
	if r.Regex == nil && r.Path != nil && r.Path.MatchString(name) {
		found = append(found, match{rule: r.RuleID, at: -1})
	}
	return found
}

// matches runs a rule's expression on a part of a text.
func (r *rules) matches(rule *rule, name string, text []byte, in span, found []match) []match {
	part := text[in.from:in.to]
	for _, m := range rule.Regex.FindAllIndex(part, -1) {
		whole := strings.Trim(string(part[m[0]:m[1]]), "\n")
		secret := whole
		if groups := rule.Regex.FindStringSubmatch(whole); len(groups) > 1 {
			secret = rule.group(groups)
		}
		if rule.Entropy != 0 && entropy(secret) <= rule.Entropy || rule.RuleID == privateKey && !hasBody(whole) {
			continue
		}
		line := lineOf(text, in.from+m[0], in.from+m[1])
		if allowed(r.global, name, secret, whole, line) || allowed(rule.Allowlists, name, secret, whole, line) {
			continue
		}
		found = append(found, match{rule: rule.RuleID, at: in.from + m[0], secret: secret})
	}
	return found
}

// group is the part of a match that is the secret.
func (r *rule) group(groups []string) string {
	if r.SecretGroup > 0 && r.SecretGroup < len(groups) {
		return groups[r.SecretGroup]
	}
	for _, g := range groups[1:] {
		if g != "" {
			return g
		}
	}
	return groups[0]
}

func lineOf(text []byte, from, to int) string {
	from = bytes.LastIndexByte(text[:from], '\n') + 1
	if n := bytes.IndexByte(text[to:], '\n'); n >= 0 {
		return string(text[from : to+n])
	}
	return string(text[from:])
}

// report sorts the findings, drops repeats and the guesses that a better rule
// confirms, and forgets the secrets.
func report(name string, text []byte, found []match) []Finding {
	var list []Finding
	for i, m := range found {
		if m.rule == heuristic && slices.ContainsFunc(found, func(o match) bool {
			return o.rule != heuristic && strings.Contains(o.secret, m.secret)
		}) {
			found[i].rule = ""
			continue
		}
		f := Finding{Rule: m.rule, Masked: Mask(m.secret), Guess: m.rule == heuristic, Known: known(m.rule, name)}
		if m.at >= 0 {
			f.Line = 1 + bytes.Count(text[:m.at], []byte{'\n'})
		}
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.Rule, b.Rule), strings.Compare(a.Masked, b.Masked))
	})
	return slices.Compact(list)
}

// Mask is what may be shown of a secret: its first four characters, fewer of a
// short one, and nothing of its length.
func Mask(secret string) string {
	runes := []rune(secret)
	return string(runes[:min(4, len(runes)/4)]) + "…"
}

// entropy is Shannon's, in bits a character.
func entropy(text string) float64 {
	counts := map[rune]int{}
	for _, c := range text {
		counts[c]++
	}
	bits := 0.0
	for _, n := range counts {
		p := float64(n) / float64(len(text))
		bits -= p * math.Log2(p)
	}
	return bits
}
