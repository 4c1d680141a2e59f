package secrets

import (
	"bytes"
	"cmp"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// cipherRE matches names of ciphers as Java has them, which settings of keys
// hold: every JDK's java.security does.
var cipherRE = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9_-]{2,20}/(?:CBC|CCM|CFB8?|CTR|CTS|ECB|GCM|KWP?|NONE|OFB8?|PCBC|XTS)/[A-Za-z0-9-]{1,40}Padding$`)
})

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
		rule, err := r.list[n]()
		if err != nil {
			return nil, err
		}
		found = rule.whole(name, text, found)
	}
	places, err := r.spans(text)
	if err != nil {
		return nil, err
	}
	for rule, spans := range places {
		if rule.Path != nil && !rule.Path.MatchString(name) || pathIn(rule.Allowlists, name) {
			continue
		}
		if rule.RuleID == heuristic && pathIn(r.skipped, name) {
			continue
		}
		before := len(found)
		for _, at := range spans {
			if found = r.matches(rule, name, text, at, found); len(found)-before > maxMatches {
				found = found[:before+maxMatches]
				break
			}
		}
	}
	return report(name, text, found), nil
}

// maxMatches bounds the findings of one rule in one text.
const maxMatches = 1000

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
	before := len(found)
	for _, m := range rule.Regex.FindAllIndex(part, -1) {
		if len(found)-before > maxMatches {
			break
		}
		whole := strings.Trim(string(part[m[0]:m[1]]), "\n")
		secret := whole
		if groups := rule.Regex.FindStringSubmatch(whole); len(groups) > 1 {
			secret = rule.group(groups)
		}
		if rule.Entropy != 0 && entropy(secret) <= rule.Entropy || rule.RuleID == privateKey && !hasBody(whole) {
			continue
		}
		if rule.RuleID == heuristic && cipherRE().MatchString(secret) {
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

// lineOf is the line around a match, cut where it is very long.
func lineOf(text []byte, from, to int) string {
	before, behind := text[max(0, from-farWindow):from], text[to:min(len(text), to+farWindow)]
	from -= len(before) - 1 - bytes.LastIndexByte(before, '\n')
	if n := bytes.IndexByte(behind, '\n'); n >= 0 {
		behind = behind[:n]
	}
	return string(text[from : to+len(behind)])
}

// report sorts the findings, drops repeats and the guesses that a better rule
// confirms, and forgets the secrets.
func report(name string, text []byte, found []match) []Finding {
	sure := map[string]bool{}
	for _, m := range found {
		if m.rule != heuristic {
			sure[m.secret] = true
		}
	}
	slices.SortFunc(found, func(a, b match) int { return cmp.Compare(a.at, b.at) })
	var list []Finding
	line, counted := 1, 0
	for _, m := range found {
		if m.rule == heuristic && confirmed(sure, m.secret) {
			continue
		}
		f := Finding{Rule: m.rule, Masked: Mask(m.secret), Guess: m.rule == heuristic, Known: known(m.rule, name)}
		if m.at >= 0 {
			line += bytes.Count(text[counted:m.at], []byte{'\n'})
			f.Line, counted = line, m.at
		}
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.Rule, b.Rule), strings.Compare(a.Masked, b.Masked))
	})
	return slices.Compact(list)
}

// confirmed tells whether a guess is, or is in, what a better rule found.
func confirmed(sure map[string]bool, guess string) bool {
	if sure[guess] {
		return true
	}
	for secret := range sure {
		if strings.Contains(secret, guess) {
			return true
		}
	}
	return false
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
