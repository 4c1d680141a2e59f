package dockerfile

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Error says what is wrong with a Dockerfile, and where.
type Error struct {
	File    string // as it was given to Parse
	Line    int    // from 1; 0 where no line is to blame
	Message string // lower case
	Hint    string // what to do; may be empty
}

func (e *Error) Error() string {
	at := e.File
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	if e.Hint == "" {
		return at + ": " + e.Message
	}
	return fmt.Sprintf("%s: %s (%s)", at, e.Message, e.Hint)
}

// wrong makes an Error of the file at a line.
func (f *File) wrong(line int, hint, format string, args ...any) error {
	return &Error{File: f.name, Line: line, Hint: hint, Message: oneLine(fmt.Sprintf(format, args...))}
}

var parserPrefix = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^dockerfile parse error on line \d+: `)
})

// parsed turns an error of BuildKit's parser into one of ours.
func (f *File) parsed(line int, err error) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	var at *parser.LocationError
	if line == 0 && errors.As(err, &at) && len(at.Locations) > 0 && len(at.Locations[0]) > 0 {
		line = at.Locations[0][0].Start.Line
	}
	return f.wrong(line, "", "%s", parserPrefix().ReplaceAllString(err.Error(), ""))
}

// oneLine makes a text safe for a line of a terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " "))
}
