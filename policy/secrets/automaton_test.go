package secrets

import (
	"regexp/syntax"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAutomatonFindsEveryKeyword(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.RuneFrom([]rune("ab-1")), 1, 4, -1)
		words := rapid.SliceOfNDistinct(word, 1, 8, rapid.ID[string]).Draw(t, "words")
		text := rapid.StringOfN(rapid.RuneFrom([]rune("aAbB-1é")), 0, 40, -1).Draw(t, "text")
		var want, got []string
		for i := range len(text) + 1 {
			for n, w := range words {
				if strings.HasSuffix(strings.ToLower(text[:i]), w) {
					want = append(want, string(rune('0'+n))+":"+text[:i])
				}
			}
		}
		newAutomaton(words).find([]byte(text), func(n uint16, end int) {
			got = append(got, string(rune('0'+n))+":"+text[:end])
		})
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("in %q of %q: got %q, want %q", text, words, got, want)
		}
	})
}

func TestExpressions(t *testing.T) {
	for _, tc := range []struct {
		regex, keywords string
		contains        bool
		width           int
	}{
		{`abc`, "bc", true, 3},
		{`(?i)ABC`, "abc", true, 3},
		{`ab?c`, "abc", false, 3},
		{`x(?:key|token)y{2}`, "key token", true, 8},
		{`x(?:key|tok)`, "key token", false, 4},
		{`(?:access|api|auth)`, "access api auth", true, 6},
		{`[ab]c`, "ac bc", true, 2},
		{`[ab]c`, "ac", false, 2},
		{`(?:key)+`, "key", true, endless},
		{`(?:key){0,2}`, "key", false, 6},
		{`a\s*b`, "a", true, 2 + spaces},
		{`key[a-z]+`, "key", true, 3 + lineWide},
		{`key[^"]+`, "key", true, endless},
		{`\bkey$`, "key", true, 3},
		{`.key`, "key", true, 4},
	} {
		re, err := syntax.Parse(tc.regex, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		if got := contains(re, strings.Fields(tc.keywords)); got != tc.contains {
			t.Errorf("contains(%s, %s) = %v", tc.regex, tc.keywords, got)
		}
		if got := width(re); got != tc.width {
			t.Errorf("width(%s) = %d, want %d", tc.regex, got, tc.width)
		}
	}
}
