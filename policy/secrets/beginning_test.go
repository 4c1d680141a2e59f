package secrets

import (
	"math/rand/v2"
	"regexp/syntax"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// A rule looks at every place where its expression matches a text with one of
// its keywords.
func TestSpansHoldEveryMatch(t *testing.T) {
	all, err := load()
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	looked := 0
	for _, get := range all.list {
		r, err := get()
		if err != nil {
			t.Fatal(err)
		}
		if r.Regex == nil || len(r.Keywords) == 0 {
			continue
		}
		re, err := syntax.Parse(r.Regex.String(), syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for range 30 {
			var b strings.Builder
			b.WriteString("x = 1;\n\n")
			matching(&b, re, rnd)
			b.WriteString("\nof no interest\n")
			text := b.String()
			if r.Regex.FindStringIndex(text) == nil || !holdsAny(strings.ToLower(text), r.Keywords) {
				continue
			}
			found++
			spans, err := all.spans([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			seen := false
			for _, s := range spans[r] {
				seen = seen || r.Regex.MatchString(text[s.from:s.to])
			}
			if !seen {
				t.Errorf("%s: not looked for in %q", r.RuleID, text)
				break
			}
		}
		if found > 0 {
			looked++
		}
	}
	if looked < 200 {
		t.Errorf("samples of %d rules only", looked)
	}
}

// matching writes a text of ASCII that an expression matches, as far as
// assertions in it allow.
func matching(b *strings.Builder, re *syntax.Regexp, rnd *rand.Rand) {
	times := func(least, most int) {
		for range least + rnd.IntN(most-least+1) {
			matching(b, re.Sub[0], rnd)
		}
	}
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if re.Flags&syntax.FoldCase != 0 && rnd.IntN(2) == 0 {
				r = unicode.ToUpper(r)
			}
			b.WriteRune(r)
		}
	case syntax.OpCharClass:
		pair := 2 * rnd.IntN(len(re.Rune)/2)
		for re.Rune[pair] >= utf8.RuneSelf {
			pair = 2 * rnd.IntN(len(re.Rune)/2)
		}
		b.WriteRune(re.Rune[pair] + rnd.Int32N(min(re.Rune[pair+1], '~')-re.Rune[pair]+1))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte(byte(' ' + rnd.IntN(90)))
	case syntax.OpQuest:
		times(0, 1)
	case syntax.OpStar:
		times(0, 5)
	case syntax.OpPlus:
		times(1, 5)
	case syntax.OpRepeat:
		most := re.Max
		if most < 0 {
			most = re.Min + 5
		}
		times(re.Min, most)
	case syntax.OpAlternate:
		matching(b, re.Sub[rnd.IntN(len(re.Sub))], rnd)
	case syntax.OpConcat, syntax.OpCapture:
		for _, s := range re.Sub {
			matching(b, s, rnd)
		}
	}
}

func TestBeginnings(t *testing.T) {
	for _, tc := range []struct {
		re, keywords string
		ok           bool
		fits, not    string
	}{
		{`\b(AK(?:IA|SA)[0-9]{3})`, "akia aksa", true, "AKIA123", "akia123 AKIA12 AKIB123"},
		{`s\.(?i:[a-z]{3})`, "s.", true, "s.abc s.aſ s.é", "s.a1c s.1é"},
		{`(?i)s\.[a-z]{3}`, "s.", false, "", ""}, // ſ, too
		{`(?i)(?:ab|abc)_?x+y`, "ab", true, "ABx ab_xx abcx", "abcc_x"},
		{`a?bc`, "bc", false, "", ""},
		{`(?:ab|cd).*z`, "ab", false, "", ""},
		{`ab[0-9]{0,3}c`, "ab", true, "ab ab1 abz", "b1"},
	} {
		re, err := syntax.Parse(tc.re, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		ways := beginnings(re)
		if got := begins(ways, strings.Fields(tc.keywords)); got != tc.ok {
			t.Errorf("%s begins with %s: %v", tc.re, tc.keywords, got)
		}
		for want, texts := range map[bool]string{true: tc.fits, false: tc.not} {
			for _, text := range strings.Fields(texts) {
				got := false
				for _, w := range ways {
					got = got || w.fits([]byte(text))
				}
				if got != want {
					t.Errorf("%s: %q fits: %v", tc.re, text, got)
				}
			}
		}
	}
}
