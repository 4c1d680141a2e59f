package sign

import (
	"bytes"
	"encoding/json"
	"strings"
)

// unambiguous refuses JSON that two readers may read differently: an object
// that has a name twice. encoding/json takes the last one, and a name in any
// case; others take the first, or only the right case. Where fold is set, names
// that differ but in case are twice the same as well. content is valid JSON;
// what tells what it is. ErrInvalid.
func unambiguous(what string, content []byte, fold bool) error {
	s := nameScanner{rest: content, fold: fold}
	s.value()
	if s.twice != nil {
		return invalid("%s: the name %.100q is there twice in one object", what, *s.twice)
	}
	return nil
}

// nameScanner goes through valid JSON, whose nesting is bounded by who parsed
// it before.
type nameScanner struct {
	rest  []byte
	fold  bool
	twice *string // the first name that is there twice; nil for none
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
	seen := map[string]bool{}
	for s.more('}') {
		name := s.text()
		if s.fold {
			name = strings.ToLower(strings.ToUpper(name)) // as EqualFold does, also for ſ and K
		}
		if seen[name] && s.twice == nil {
			s.twice = &name
		}
		seen[name] = true
		s.next()
		s.rest = s.rest[min(1, len(s.rest)):] // the colon
		s.value()
	}
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

// text skips a string and returns what it says.
func (s *nameScanner) text() string {
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
	return ""
}

// unquoted is what a JSON string says.
func unquoted(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return string(raw)
	}
	return text
}

// members are those of an object, by their names exactly: encoding/json would
// take "Subject" for "subject", which others do not see. Members with names that
// are one of names but for the case are refused. ErrInvalid.
func members(what string, object []byte, names ...string) (map[string]json.RawMessage, error) {
	var found map[string]json.RawMessage
	if err := json.Unmarshal(object, &found); err != nil {
		return nil, invalid("%s: %v", what, err)
	}
	for name := range found {
		for _, want := range names {
			if name != want && strings.EqualFold(name, want) {
				return nil, invalid("%s: the name %q is not %q", what, name, want)
			}
		}
	}
	return found, nil
}
