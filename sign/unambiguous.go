package sign

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// unambiguous refuses JSON that two readers may read differently: an object
// that has a name twice. encoding/json takes the last one, and a name in any
// case; others take the first, or only the right case. Where fold is set, names
// that differ but in case are twice the same as well. content is valid JSON;
// what tells what it is. ErrInvalid.
func unambiguous(what string, content []byte, fold bool) error {
	s := nameScanner{rest: content, fold: fold}
	s.value()
	return s.refused(what)
}

// member is one of an object's: its name, and its value as it stands there.
type member struct {
	name string
	raw  json.RawMessage
}

// members are those of an object, content, which is valid JSON and no more
// ambiguous than unambiguous allows. ErrInvalid.
func members(what string, content []byte, fold bool) ([]member, error) {
	s := nameScanner{rest: content, fold: fold, keep: true, kept: make([]member, 0, 4)}
	if s.next() != '{' {
		return nil, invalid("%s is not a JSON object", what)
	}
	s.object()
	return s.kept, s.refused(what)
}

func (m member) String() string { return m.name + ":" + string(m.raw) }

// text is the value of a member that is a string, or null.
func (m member) text() (string, error) {
	if n := len(m.raw); m.raw[0] == '"' && isPlain(m.raw) {
		return string(m.raw[1 : n-1]), nil
	}
	var text string
	err := json.Unmarshal(m.raw, &text)
	return text, err
}

// elements are those of a list of valid JSON, or of null.
func elements(list json.RawMessage) ([]json.RawMessage, error) {
	s := nameScanner{rest: list}
	if s.next() != '[' {
		var none []json.RawMessage
		return nil, json.Unmarshal(list, &none)
	}
	s.rest = s.rest[1:]
	var found []json.RawMessage
	for s.more(']') {
		each := s.rest
		s.value()
		found = append(found, json.RawMessage(each[:len(each)-len(s.rest)]))
	}
	return found, nil
}

// exactly refuses members with a name that is one of names but for the case:
// encoding/json would take "Subject" for "subject", which others do not see.
// ErrInvalid.
func exactly(what string, found []member, names ...string) error {
	for _, m := range found {
		for _, want := range names {
			if m.name != want && strings.EqualFold(m.name, want) {
				return invalid("%s: the name %q is not %q", what, m.name, want)
			}
		}
	}
	return nil
}

// nameScanner goes through valid JSON, whose nesting is bounded by who parsed
// it before.
type nameScanner struct {
	rest  []byte
	fold  bool
	twice []byte // the first name that is there twice; nil for none
	keep  bool   // the members of the next object
	kept  []member
}

func (s *nameScanner) refused(what string) error {
	if s.twice != nil {
		return invalid("%s: the name %.100q is there twice in one object", what, s.twice)
	}
	return nil
}

// value skips a value.
func (s *nameScanner) value() {
	switch s.next() {
	case '{':
		s.object()
	case '[':
		s.rest = s.rest[1:]
		for s.more(']') {
			s.value()
		}
	case '"':
		s.text()
	default:
		if n := bytes.IndexAny(s.rest, ",]} \t\r\n"); n >= 0 {
			s.rest = s.rest[n:]
		} else {
			s.rest = nil
		}
	}
}

// object skips an object and looks for names that are there twice.
func (s *nameScanner) object() {
	s.rest = s.rest[1:]
	keep := s.keep
	s.keep = false
	var seen nameSet
	for s.more('}') {
		name := s.text()
		once := name
		if s.fold {
			once = folded(name)
		}
		if !seen.add(once) && s.twice == nil {
			s.twice = once
		}
		s.next()
		s.rest = s.rest[min(1, len(s.rest)):] // the colon
		s.next()
		value := s.rest
		s.value()
		if keep {
			s.kept = append(s.kept, member{string(name), json.RawMessage(value[:len(value)-len(s.rest)])})
		}
	}
}

// folded is the same for names that are equal but for the case: as EqualFold
// has it, also for ſ and K.
func folded(name []byte) []byte {
	return bytes.ToLower(bytes.ToUpper(name))
}

// nameSet holds names: the first few, which are all that most objects have,
// without a map.
type nameSet struct {
	few  [8][]byte
	n    int // of few
	many map[string]bool
}

// add says whether a name is new.
func (s *nameSet) add(name []byte) bool {
	for _, was := range s.few[:s.n] {
		if bytes.Equal(was, name) {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	if s.many[string(name)] {
		return false
	}
	if s.many == nil {
		s.many = map[string]bool{}
	}
	s.many[string(name)] = true
	return true
}

// more says whether another member follows; if not, it skips the end.
func (s *nameScanner) more(end byte) bool {
	c := s.next()
	if c == ',' {
		s.rest = s.rest[1:]
		c = s.next()
	}
	if c == end {
		s.rest = s.rest[1:]
	}
	return c != end && c != 0
}

// next is the first byte of what follows after white space; 0 for nothing.
func (s *nameScanner) next() byte {
	for i, c := range s.rest {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			s.rest = s.rest[i:]
			return c
		}
	}
	s.rest = nil
	return 0
}

// text skips a string and returns what it says; it may be part of the content.
func (s *nameScanner) text() []byte {
	s.next()
	for i := 1; i < len(s.rest); i++ {
		switch s.rest[i] {
		case '\\':
			i++
		case '"':
			raw := s.rest[:i+1]
			s.rest = s.rest[i+1:]
			return unquoted(raw)
		}
	}
	s.rest = nil
	return []byte{}
}

// unquoted is what a JSON string says.
func unquoted(raw []byte) []byte {
	if isPlain(raw) {
		return raw[1 : len(raw)-1]
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return raw
	}
	return []byte(text)
}

// isPlain says whether a JSON string says what stands between its quotes.
func isPlain(raw []byte) bool {
	return bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw)
}
