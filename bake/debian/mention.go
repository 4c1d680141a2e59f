package debian

import (
	"cmp"
	"strings"
)

// mention is where a package's name occurs first in the indexes, in the order
// in which apt reads them: by index, stanza, field and place in the field.
// apt numbers packages in this order, and decides by it when nothing else
// tells two providers apart.
type mention struct {
	index, stanza, field, offset int
}

func (m mention) compare(other mention) int {
	return cmp.Or(
		cmp.Compare(m.index, other.index), cmp.Compare(m.stanza, other.stanza),
		cmp.Compare(m.field, other.field), cmp.Compare(m.offset, other.offset),
	)
}

// fieldOrder is the order in which apt reads the fields of a stanza.
var fieldOrder = map[string]int{
	"Package": 0, "Pre-Depends": 1, "Depends": 2, "Conflicts": 3, "Breaks": 4,
	"Recommends": 5, "Suggests": 6, "Replaces": 7, "Enhances": 8, "Provides": 9,
}

// mention finds the first mention of a package. It searches the text anew:
// the question is rare, and the answer for all names would cost more than the
// whole resolution.
func (u *universe) mention(name string) mention {
	for i, ix := range u.indexes {
		best, found := mention{index: i}, false
		for at := 0; ; at++ {
			next := strings.Index(ix.text[at:], name)
			if next < 0 {
				break
			}
			at += next
			stanza := strings.LastIndex(ix.text[:at], "\n\n")
			if found && stanza != best.stanza {
				break
			}
			rank, ok := u.mentionedAt(ix.text, at, len(name))
			here := mention{i, stanza, rank, at}
			if ok && (!found || here.compare(best) < 0) {
				best, found = here, true
			}
		}
		if found {
			return best
		}
	}
	return mention{index: len(u.indexes)}
}

// mentionedAt says whether the n bytes at a place are a package's name in a
// field that apt reads, and the field's rank.
func (u *universe) mentionedAt(text string, at, n int) (rank int, ok bool) {
	if at == 0 || !strings.ContainsRune(" ,|", rune(text[at-1])) {
		return 0, false
	}
	after := text[at+n:]
	if after != "" && !strings.ContainsRune(" ,|(\n:", rune(after[0])) {
		return 0, false
	}
	if strings.HasPrefix(after, ":") && !strings.HasPrefix(after, ":"+u.arch) {
		return 0, false
	}
	line := text[strings.LastIndexByte(text[:at], '\n')+1 : at]
	field, before, colon := strings.Cut(line, ":")
	rank, known := fieldOrder[field]
	if !colon || !known {
		return 0, false
	}
	return rank, strings.LastIndexByte(before, '(') <= strings.LastIndexByte(before, ')')
}
