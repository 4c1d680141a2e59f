package debian

import (
	"cmp"
	"slices"
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

// mention is where the indexes mention a package first. It is searched for
// when it is asked: the question is rare, and the answer for all names would
// cost more than the whole resolution.
func (r *resolver) mention(name string) mention {
	m, known := r.mentions[name]
	if !known {
		m = r.u.firstMention(name)
		r.mentions[name] = m
	}
	return m
}

func (u *universe) firstMention(name string) mention {
	for i, ix := range u.indexes {
		if m, found := u.mentionIn(ix.text, name); found {
			m.index = i
			return m
		}
	}
	return mention{index: len(u.indexes)}
}

// mentionIn finds the first stanza that mentions a package, and in it the
// mention that apt reads first.
func (u *universe) mentionIn(text, name string) (best mention, found bool) {
	for at := 0; ; at++ {
		next := strings.Index(text[at:], name)
		if next < 0 {
			return best, found
		}
		at += next
		if found && strings.Contains(text[best.offset:at], "\n\n") {
			return best, found
		}
		rank, ok := u.mentionedAt(text, at, len(name))
		if !ok {
			continue
		}
		here := mention{stanza: strings.LastIndex(text[:at], "\n\n"), field: rank, offset: at}
		if !found || here.compare(best) < 0 {
			best, found = here, true
		}
	}
}

// fieldOrder lists the fields of a stanza that name packages, in the order in
// which apt reads them.
func fieldOrder() []string {
	return []string{
		"Package", "Pre-Depends", "Depends", "Conflicts", "Breaks",
		"Recommends", "Suggests", "Replaces", "Enhances", "Provides",
	}
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
	rank = slices.Index(fieldOrder(), field)
	if !colon || rank < 0 {
		return 0, false
	}
	return rank, strings.LastIndexByte(before, '(') <= strings.LastIndexByte(before, ')')
}
