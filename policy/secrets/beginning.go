package secrets

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what is known of how matches begin.
const (
	maxBeginnings = 32 // ways
	maxBeginning  = 32 // bytes of one
)

// byteSet holds the bytes that may stand in a place.
type byteSet struct {
	ascii [utf8.RuneSelf]bool
	wide  bool // what is not ASCII, too: nothing is known behind it
}

// beginning is one way in which a match begins, place by place.
type beginning struct {
	sets []byteSet
	open bool // more may follow
}

// beginnings are the ways in which matches of an expression begin. Each match
// begins in one of them; not all that begins so is a match.
func beginnings(re *syntax.Regexp) []beginning {
	switch re.Op {
	case syntax.OpLiteral:
		one := beginning{}
		for _, r := range re.Rune {
			one.sets = append(one.sets, literalSet(r, re.Flags&syntax.FoldCase != 0))
		}
		return shortened([]beginning{one})
	case syntax.OpCharClass:
		return []beginning{{sets: []byteSet{classSet(re.Rune)}}}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []beginning{{sets: []byteSet{classSet([]rune{0, unicode.MaxRune})}}}
	case syntax.OpCapture:
		return beginnings(re.Sub[0])
	case syntax.OpConcat:
		return inARow(re.Sub)
	case syntax.OpAlternate:
		var all []beginning
		for _, s := range re.Sub {
			all = append(all, beginnings(s)...)
		}
		return shortened(all)
	case syntax.OpQuest:
		return shortened(append([]beginning{{}}, beginnings(re.Sub[0])...))
	case syntax.OpStar:
		return []beginning{{open: true}}
	case syntax.OpPlus:
		return inARow([]*syntax.Regexp{re.Sub[0], {Op: syntax.OpStar, Sub: re.Sub}})
	case syntax.OpRepeat:
		times := slices.Repeat([]*syntax.Regexp{re.Sub[0]}, min(re.Min, maxBeginning))
		if re.Max != re.Min {
			times = append(times, &syntax.Regexp{Op: syntax.OpStar, Sub: re.Sub})
		}
		return inARow(times)
	case syntax.OpNoMatch:
		return nil
	}
	return []beginning{{}} // an assertion, or nothing
}

// inARow joins the beginnings of expressions that follow one another.
func inARow(subs []*syntax.Regexp) []beginning {
	all := []beginning{{}}
	for _, s := range subs {
		var next, joined []beginning
		for _, b := range all {
			if b.open {
				joined = append(joined, b)
				continue
			}
			if next == nil {
				next = beginnings(s)
			}
			for _, n := range next {
				joined = append(joined, beginning{slices.Concat(b.sets, n.sets), n.open})
			}
		}
		all = shortened(joined)
	}
	return all
}

// shortened keeps what is known within bounds.
func shortened(all []beginning) []beginning {
	if len(all) > maxBeginnings {
		return []beginning{{open: true}}
	}
	for i, b := range all {
		if len(b.sets) > maxBeginning {
			all[i] = beginning{b.sets[:maxBeginning:maxBeginning], true}
		}
	}
	return all
}

func literalSet(r rune, fold bool) byteSet {
	ranges := []rune{r, r}
	for f := unicode.SimpleFold(r); fold && f != r; f = unicode.SimpleFold(f) {
		ranges = append(ranges, f, f)
	}
	return classSet(ranges)
}

// classSet takes ranges of characters, first and last.
func classSet(ranges []rune) (s byteSet) {
	for i := 0; i < len(ranges); i += 2 {
		for r := ranges[i]; r <= min(ranges[i+1], utf8.RuneSelf-1); r++ {
			s.ascii[r] = true
		}
		s.wide = s.wide || ranges[i+1] >= utf8.RuneSelf
	}
	return s
}

// only tells whether nothing but a letter fits, in either case.
func (s byteSet) only(letter byte) bool {
	for b, in := range s.ascii {
		if in && !strings.EqualFold(string(rune(b)), string(rune(letter))) {
			return false
		}
	}
	return !s.wide
}

// begins tells whether a match begins with one of the keywords, whichever way.
func begins(all []beginning, keywords []string) bool {
	for _, b := range all {
		if !slices.ContainsFunc(keywords, b.startsWith) {
			return false
		}
	}
	return len(all) > 0
}

func (b beginning) startsWith(keyword string) bool {
	if len(b.sets) < len(keyword) {
		return false
	}
	for i := range len(keyword) {
		if !b.sets[i].only(keyword[i]) {
			return false
		}
	}
	return true
}

// fits tells whether a text can begin so.
func (b beginning) fits(text []byte) bool {
	for i := range b.sets {
		switch {
		case i == len(text):
			return false
		case text[i] >= utf8.RuneSelf:
			return b.sets[i].wide
		case !b.sets[i].ascii[text[i]]:
			return false
		}
	}
	return true
}
