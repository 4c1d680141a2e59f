package secrets

import (
	"bytes"
	"strings"
)

// span is a part of a text.
type span struct{ from, to int }

// spans says where each rule must look.
func (r *rules) spans(text []byte) (map[*rule][]span, error) {
	found := map[*rule][]span{}
	var broken error
	r.keywords.find(text, func(keyword uint16, end int) {
		for _, n := range r.users[keyword] {
			rule, err := r.list[n]()
			if err != nil {
				broken = err
				return
			}
			list := found[rule]
			if len(list) > 0 && list[len(list)-1].to == len(text) {
				continue
			}
			at, ok := rule.around(text, end)
			if !ok {
				continue
			}
			if last := len(list) - 1; last >= 0 && at.from <= list[last].to {
				list[last].to = max(list[last].to, at.to)
				continue
			}
			found[rule] = append(list, at)
		}
	})
	return found, broken
}

// around is where a match with a keyword that ends here can lie.
func (r *rule) around(text []byte, end int) (span, bool) {
	if r.Regex == nil || r.window == 0 {
		return span{0, len(text)}, r.Regex != nil
	}
	if r.assigned && !assigns(text[end:], r.RuleID == heuristic) {
		return span{}, false
	}
	if r.starts && !r.startsWord(text, end) || r.begin != nil && !r.beginsAt(text, end) {
		return span{}, false
	}
	from, to := end-r.window, end+r.window
	if len(r.names) > 0 && !holdsAny(string(bytes.ToLower(text[max(0, from):end])), r.names) {
		return span{}, false
	}
	if r.lines > 0 {
		from = min(from, end-linesBack(text[:end], r.lines))
		to = max(to, end+linesAhead(text[end:], r.lines))
	}
	return span{max(0, from), min(len(text), to)}, true
}

// linesBack is how far back some lines begin, the one that ends here included.
func linesBack(text []byte, lines int) int {
	text = text[max(0, len(text)-farWindow):]
	at := len(text)
	for ; lines > 0 && at >= 0; lines-- {
		at = bytes.LastIndexByte(text[:at], '\n')
	}
	return len(text) - max(0, at)
}

// linesAhead is how far some lines go on, the one that begins here included.
func linesAhead(text []byte, lines int) int {
	text = text[:min(len(text), farWindow)]
	at := 0
	for ; lines > 0; lines-- {
		n := bytes.IndexByte(text[at:], '\n')
		if n < 0 {
			return len(text)
		}
		at += n + 1
	}
	return at
}

// startsWord tells whether one of the rule's keywords ends here and begins a
// word.
func (r *rule) startsWord(text []byte, end int) bool {
	for _, k := range r.Keywords {
		if at := end - len(k); at == 0 || at > 0 && !wordByte(text[at-1]) {
			return true
		}
	}
	return false
}

// beginsAt tells whether a match can begin with the keyword that ends here.
func (r *rule) beginsAt(text []byte, end int) bool {
	for _, k := range r.Keywords {
		if len(k) > end {
			continue
		}
		for _, b := range r.begin {
			if b.fits(text[end-len(k):]) {
				return true
			}
		}
	}
	return false
}

func wordByte(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// assigns tells whether the text behind a keyword can be what the pattern
// assignment asks for, with a value: a cheap look that spares most text the
// expression. The heuristic rule allows values of letters alone.
func assigns(text []byte, guess bool) bool {
	const before = 40 // what the pattern allows before the sign, and the rest of a keyword
	i := 0
	for i < len(text) && i < before && passed(text[i]) {
		i++
	}
	if i == len(text) || strings.IndexByte("=>:|?,", text[i]) < 0 {
		return false
	}
	signs := 0 // with which a value may begin
	for i < len(text) && strings.IndexByte("=>:|?, \t\n\f\r`'\"", text[i]) >= 0 {
		if text[i] == '=' {
			signs++
		}
		i++
	}
	start, letters := i-signs, signs == 0
	for i < len(text) && i-start < 150 && (wordByte(text[i]) || strings.IndexByte("-.=+/~@$%", text[i]) >= 0) {
		letters = letters && (text[i] > '9' && text[i] != '=' && text[i] != '~' && text[i] != '@' || text[i] == '-' || text[i] == '.')
		i++
	}
	if guess {
		return i-start >= 10 && !letters
	}
	return i-start >= 5
}

// passed tells what may stand between a keyword and the sign.
func passed(b byte) bool { return wordByte(b) || strings.IndexByte(" \t\n\f\r.-'\"", b) >= 0 }
