package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// printable is text as it is, but for what moves a terminal's cursor or cannot
// be seen: that is shown as Go escapes it. Reasons, packages, names: what others
// said is not to look like what kiln says. Lines and tabs stay.
func printable(s string) string {
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case hidden(r) && r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		case hidden(r) && r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		case hidden(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// hidden tells what is not shown as it is: all but graphic runes (those have
// spaces among them), lines and tabs. Bytes that are no rune read as RuneError.
func hidden(r rune) bool {
	return r == utf8.RuneError || !unicode.IsGraphic(r) && r != '\n' && r != '\t'
}

// cell is printable text on one line, for a table.
func cell(s string) string {
	return printable(strings.NewReplacer("\r\n", " ", "\n", " ", "\t", " ").Replace(s))
}

// below is printable text whose further lines are set off: none of them looks
// like one of kiln's own.
func below(s string) string {
	lines := strings.Split(printable(s), "\n")
	for i, line := range lines {
		if i > 0 && line != "" && line[0] != ' ' && line[0] != '\t' {
			lines[i] = "  " + line
		}
	}
	return strings.Join(lines, "\n")
}

// shownOut is w, if that is a terminal with what is written made printable.
func shownOut(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &printableWriter{w: w}
	}
	return w
}

// printableWriter writes what is printable. Runes may come in pieces.
type printableWriter struct {
	w    io.Writer
	left []byte // the beginning of a rune
}

func (p *printableWriter) Write(b []byte) (int, error) {
	text := append(p.left, b...)
	whole := len(text)
	for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
		if c := text[len(text)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(text[len(text)-i:]) {
				whole = len(text) - i
			}
			break
		}
	}
	if _, err := io.WriteString(p.w, printable(string(text[:whole]))); err != nil {
		return 0, err
	}
	p.left = append([]byte(nil), text[whole:]...)
	return len(b), nil
}
