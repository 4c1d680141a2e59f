package debian

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// paragraph is one stanza of a control file (deb822(5)): fields in order,
// values with their continuation lines as they stand.
type paragraph struct {
	fields []field
}

type field struct{ name, value string }

// value of the first field of that name, case ignored, without the blanks
// around it.
func (s *paragraph) value(name string) string {
	for _, f := range s.fields {
		if strings.EqualFold(f.name, name) {
			return strings.TrimSpace(f.value)
		}
	}
	return ""
}

// writeTo writes the paragraph's fields but those left out, without the empty
// line at its end.
func (s *paragraph) writeTo(w *strings.Builder, leaveOut ...string) {
next:
	for _, f := range s.fields {
		for _, name := range leaveOut {
			if strings.EqualFold(f.name, name) {
				continue next
			}
		}
		w.WriteString(f.name + ":" + f.value + "\n")
	}
}

// readParagraphs reads every paragraph of a control file.
func readParagraphs(r io.Reader) ([]*paragraph, error) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 4<<20)
	var all []*paragraph
	var now *paragraph
	for line := 1; in.Scan(); line++ {
		text := strings.TrimRight(in.Text(), "\r")
		switch {
		case strings.TrimSpace(text) == "":
			now = nil
		case text[0] == '#':
		case text[0] == ' ' || text[0] == '\t':
			if now == nil || len(now.fields) == 0 {
				return nil, fmt.Errorf("line %d continues no field", line)
			}
			now.fields[len(now.fields)-1].value += "\n" + text
		default:
			name, value, ok := strings.Cut(text, ":")
			if !ok || name == "" {
				return nil, fmt.Errorf("line %d has no field name", line)
			}
			if now == nil {
				now = &paragraph{}
				all = append(all, now)
			}
			now.fields = append(now.fields, field{name, value})
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return nil, errors.New("a line is longer than 4 MiB")
	}
	return all, in.Err()
}
