package bake

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// filePrints are prints of files by their names. In JSON they are one string,
// which is soon read where there are many: for each file the length of its
// name, a space, the name and the print.
type filePrints map[string]string

// printSize is the length of what printOf gives.
const printSize = 12

// MarshalJSON implements json.Marshaler.
func (p filePrints) MarshalJSON() ([]byte, error) {
	var out []byte
	for _, name := range slices.Sorted(maps.Keys(p)) {
		out = append(strconv.AppendInt(out, int64(len(name)), 10), ' ')
		out = append(append(out, name...), p[name]...)
	}
	return json.Marshal(string(out))
}

var errPrints = errors.New("not a list of prints")

// UnmarshalJSON implements json.Unmarshaler.
func (p *filePrints) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' { // of an earlier kiln
		return json.Unmarshal(data, (*map[string]string)(p))
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*p = filePrints{}
	for text != "" {
		length, rest, ok := strings.Cut(text, " ")
		n, err := strconv.Atoi(length)
		if !ok || err != nil || n < 0 || n > len(rest)-printSize {
			return errPrints
		}
		(*p)[rest[:n]] = rest[n : n+printSize]
		text = rest[n+printSize:]
	}
	return nil
}
