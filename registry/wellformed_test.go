package registry

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

var grammars = map[string]struct {
	re *regexp.Regexp
	is func(string) bool
	of []string // pieces that random strings are made of
}{
	"name": {
		regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`), isName,
		[]string{"a", "z", "0", "9", "b2", ".", "_", "__", "-", "--", "/", "A", "\n", "é"},
	},
	"tag": {
		regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`), isTag,
		[]string{"a", "Z", "0", "_", ".", "-", "/", "@", "[", "`", "{", "\n", "é", strings.Repeat("x", 62)},
	},
	"digest": {
		regexp.MustCompile(`^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$`), isDigest,
		[]string{"sha256:", "sha512:", "sha384:", "f", "g", "A", ":", "\n", strings.Repeat("0a", 32), strings.Repeat("9f", 32)},
	},
}

// TestWellFormed compares what is written out with the expressions it stands
// for: on all short sequences of telling pieces, and on random longer ones.
func TestWellFormed(t *testing.T) {
	for name, g := range grammars {
		accepted, refused := 0, 0
		try := func(s string) {
			want := g.re.MatchString(s)
			if g.is(s) != want {
				t.Errorf("%s %q: %v, want %v", name, s, !want, want)
			}
			if want {
				accepted++
			} else {
				refused++
			}
		}
		var all func(s string, depth int)
		all = func(s string, depth int) {
			try(s)
			for _, piece := range g.of {
				if depth > 0 {
					all(s+piece, depth-1)
				}
			}
		}
		all("", 4)
		random := rand.New(rand.NewPCG(1, 2))
		for range 20_000 {
			var b strings.Builder
			for range random.IntN(12) {
				b.WriteString(g.of[random.IntN(len(g.of))])
			}
			try(b.String())
		}
		if accepted < 10 || refused < 10 {
			t.Errorf("%s: %d accepted, %d refused: the pieces tell nothing", name, accepted, refused)
		}
	}
}

func FuzzWellFormed(f *testing.F) {
	for _, s := range []string{"acme/shop", "a__b/c--d.e", "v1.0_-", "sha256:" + strings.Repeat("0", 64)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, g := range grammars {
			if want := g.re.MatchString(s); g.is(s) != want {
				t.Errorf("%s %q: %v, want %v", name, s, !want, want)
			}
		}
	})
}
