package secrets

import (
	"regexp/syntax"
	"slices"
	"strings"
)

// Widths of expressions without a bound.
const (
	lineWide = 1 << 20 // that stay within a line
	endless  = 1 << 30
	// spaces is how wide an unbounded run of white space is taken to be.
	spaces = 64
)

// width is how many characters an expression matches at most.
func width(re *syntax.Regexp) int { return widthWith(re, lineWide) }

// widthWith takes runs that stay within a line to be so wide.
func widthWith(re *syntax.Regexp, run int) int {
	sum := func(subs []*syntax.Regexp) (n int) {
		for _, s := range subs {
			n = min(endless, n+widthWith(s, run))
		}
		return n
	}
	switch re.Op {
	case syntax.OpLiteral:
		return len(string(re.Rune))
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1
	case syntax.OpStar, syntax.OpPlus:
		return unbounded(re.Sub[0], run)
	case syntax.OpRepeat:
		if re.Max < 0 {
			return unbounded(re.Sub[0], run)
		}
		return min(endless, re.Max*sum(re.Sub))
	case syntax.OpAlternate:
		most := 0
		for _, s := range re.Sub {
			most = max(most, widthWith(s, run))
		}
		return most
	}
	return sum(re.Sub)
}

// unbounded is the width of any number of what an expression matches.
func unbounded(re *syntax.Regexp, run int) int {
	switch re.Op {
	case syntax.OpAnyCharNotNL:
		return run
	case syntax.OpCharClass:
		switch {
		case isSpace(re):
			return spaces
		case hasBreak(re):
			return endless
		}
		return run
	}
	return endless
}

func isSpace(class *syntax.Regexp) bool {
	return slices.Equal(class.Rune, []rune{'\t', '\n', '\f', '\r', ' ', ' '})
}

func hasBreak(class *syntax.Regexp) bool {
	for i := 0; i < len(class.Rune); i += 2 {
		if class.Rune[i] <= '\n' && '\n' <= class.Rune[i+1] {
			return true
		}
	}
	return false
}

// breaks is how many ends of lines lie between runs without a bound that a
// match has at most.
func breaks(re *syntax.Regexp) int {
	sum := 0
	for _, s := range re.Sub {
		sum += breaks(s)
	}
	if re.Op == syntax.OpRepeat && re.Max > 1 && width(re.Sub[0]) >= lineWide {
		return min(endless, re.Max*ends(re.Sub[0]))
	}
	return sum
}

// ends is how many ends of lines an expression matches at most.
func ends(re *syntax.Regexp) int {
	sum := 0
	for _, s := range re.Sub {
		sum += ends(s)
	}
	switch {
	case re.Op == syntax.OpCharClass && hasBreak(re), re.Op == syntax.OpAnyChar:
		return 1
	case re.Op == syntax.OpLiteral:
		return strings.Count(string(re.Rune), "\n")
	case re.Op == syntax.OpRepeat && re.Max > 0:
		return re.Max * sum
	}
	return sum
}

// maxTexts bounds how many texts a part of an expression is expanded to.
const maxTexts = 256

// contents is what is known of the texts that an expression matches.
type contents struct {
	texts []string // all of them, in lower case; nil if too many
	sure  bool     // each holds a keyword
}

// contains tells whether every text that an expression matches holds one of
// the keywords. No is always a safe answer.
func contains(re *syntax.Regexp, keywords []string) bool {
	return contentsOf(re, keywords).holds(keywords)
}

func (c contents) holds(keywords []string) bool {
	if c.sure || c.texts == nil {
		return c.sure
	}
	for _, text := range c.texts {
		if !holdsAny(text, keywords) {
			return false
		}
	}
	return true
}

func holdsAny(text string, keywords []string) bool {
	for _, k := range keywords {
		if strings.Contains(text, k) {
			return true
		}
	}
	return false
}

func contentsOf(re *syntax.Regexp, keywords []string) contents {
	switch re.Op {
	case syntax.OpLiteral:
		return contents{texts: []string{strings.ToLower(string(re.Rune))}}
	case syntax.OpCharClass:
		return contents{texts: classTexts(re.Rune)}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL, syntax.OpStar:
		return contents{}
	case syntax.OpCapture:
		return contentsOf(re.Sub[0], keywords)
	case syntax.OpConcat:
		return concatenation(re.Sub, keywords)
	case syntax.OpAlternate:
		return alternatives(re.Sub, keywords)
	case syntax.OpQuest:
		if c := contentsOf(re.Sub[0], keywords); c.texts != nil {
			return contents{texts: append([]string{""}, c.texts...)}
		}
		return contents{}
	case syntax.OpPlus, syntax.OpRepeat:
		c := contentsOf(re.Sub[0], keywords)
		return contents{sure: (re.Op == syntax.OpPlus || re.Min > 0) && c.holds(keywords)}
	}
	return contents{texts: []string{""}} // an assertion
}

// classTexts lists a small class of characters.
func classTexts(ranges []rune) []string {
	var texts []string
	for i := 0; i < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			if len(texts) == 64 {
				return nil
			}
			texts = append(texts, strings.ToLower(string(r)))
		}
	}
	return texts
}

func alternatives(subs []*syntax.Regexp, keywords []string) contents {
	all := contents{texts: []string{}, sure: true}
	for _, s := range subs {
		c := contentsOf(s, keywords)
		all.sure = all.sure && c.holds(keywords)
		if c.texts == nil || all.texts == nil || len(all.texts)+len(c.texts) > maxTexts {
			all.texts = nil
			continue
		}
		all.texts = append(all.texts, c.texts...)
	}
	return all
}

// concatenation joins neighbours whose texts are known.
func concatenation(subs []*syntax.Regexp, keywords []string) contents {
	run := contents{texts: []string{""}}
	whole, sure := true, false
	for _, s := range subs {
		c := contentsOf(s, keywords)
		sure = sure || c.sure
		if c.texts == nil || len(run.texts)*len(c.texts) > maxTexts {
			sure = sure || run.holds(keywords)
			whole = false
			run.texts = []string{""}
			if c.texts == nil {
				continue
			}
		}
		var joined []string
		for _, a := range run.texts {
			for _, b := range c.texts {
				joined = append(joined, a+b)
			}
		}
		run.texts = joined
	}
	if sure || !whole {
		return contents{sure: sure || run.holds(keywords)}
	}
	return run
}
