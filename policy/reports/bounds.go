package reports

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Bounds on a document.
const (
	MaxSize    = 32 << 20 // bytes of a document
	MaxEntries = 200_000  // packages of an SBOM, findings of a report
	maxDepth   = 40       // levels of objects and arrays
)

// errObject is not said of documents that are JSON of another form.
var errObject = errors.New("not a JSON object")

// object checks the bounds of a document and returns its members.
func object(content []byte) (map[string]json.RawMessage, error) {
	if len(content) > MaxSize {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(content), MaxSize)
	}
	content = bytes.TrimSpace(content)
	if len(content) == 0 || content[0] != '{' {
		return nil, errObject
	}
	if err := shallow(content); err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(content, &members); err != nil {
		return nil, fmt.Errorf("JSON: %w", err)
	}
	return members, nil
}

// shallow refuses what nests too deep: each level is read once more.
func shallow(content []byte) error {
	depth, text, escaped := 0, false, false
	for _, c := range content {
		switch {
		case escaped:
			escaped = false
		case text:
			escaped, text = c == '\\', c != '"'
		case c == '"':
			text = true
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return fmt.Errorf("more than %d levels of objects and arrays", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// entries is a list of at most MaxEntries, which is refused before it is made.
type entries[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (e *entries[T]) UnmarshalJSON(text []byte) error {
	*e = nil
	if bytes.Equal(text, []byte("null")) {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if start, err := dec.Token(); err != nil || start != json.Delim('[') {
		return errors.New("a list is expected")
	}
	for dec.More() {
		var one T
		if err := dec.Decode(&one); err != nil {
			return err
		}
		if *e = append(*e, one); len(*e) > MaxEntries {
			return fmt.Errorf("more than %d entries", MaxEntries)
		}
	}
	return nil
}
