package sign

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"
)

func TestUnambiguous(t *testing.T) {
	for content, want := range map[string]string{
		`{}`: "", `[]`: "", `"a"`: "", `1`: "", `null`: "",
		` { "a" : [ { "a" : 1 } , { "a" : "\"" } ] , "b" : { "a" : { } } } `: "",
		`{"a":1,"A":1}`:                    "fold",
		`{"s":1,"ſ":1}`:                    "fold",
		"{\"k\":1,\"\u212a\":1}":           "fold",
		`{"a":1,"b":2,"a":1}`:              "twice",
		`{"a":1,"\u0061":1}`:               "twice",
		`{"a":[{},[{"b":1 ,"b" :{}}]]}`:    "twice",
		`{"a":"x\\","a":1}`:                "twice",
		`{"a":"{\"b\":1,\"b\":1}"}`:        "",
		`{"":1,"":2}`:                      "twice",
		"{\"\xff\":1,\"\xfe\":2}":          "twice",
		`{"a":{"b":-1e5},"c":true,"a":[]}`: "twice",
	} {
		for _, fold := range []bool{false, true} {
			err := unambiguous("it", []byte(content), fold)
			if refused := want == "twice" || want == "fold" && fold; (err != nil) != refused || err != nil && !errors.Is(err, ErrInvalid) {
				t.Errorf("%s (fold %v): %v", content, fold, err)
			}
		}
	}
}

// FuzzUnambiguous: it finds what a reader of tokens finds, and ends.
func FuzzUnambiguous(f *testing.F) {
	for _, seed := range []string{`{"a":1,"a":2}`, `[{"a":"\\"},{"b":[1,{"c":null,"c":0}]}]`, ` {"\u0061" : {} , "a":"x"} `, `{"é":1,"\u00e9":1}`, `{"\ud800":1,"\ud801":1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if !json.Valid(content) {
			return
		}
		got := unambiguous("it", content, false) != nil
		if want := twiceByTokens(t, content); want != got {
			t.Errorf("%q: refused %v, want %v", content, got, want)
		}
		if !got {
			return
		}
		if unambiguous("it", content, true) == nil {
			t.Errorf("%q: refused by its letters, not when they fold", content)
		}
	})
}

func twiceByTokens(t *testing.T, content []byte) bool {
	d := json.NewDecoder(strings.NewReader(string(content)))
	type level struct {
		names map[string]bool // nil in a list
		value bool            // a value is next
	}
	var levels []level
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return false
		}
		if err != nil {
			t.Fatalf("%q: %v", content, err)
		}
		top := len(levels) - 1
		name, isText := token.(string)
		if top >= 0 && levels[top].names != nil && !levels[top].value && isText {
			if levels[top].names[name] {
				return true
			}
			levels[top].names[name], levels[top].value = true, true
			continue
		}
		if top >= 0 {
			levels[top].value = false
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{names: map[string]bool{}})
		case json.Delim('['):
			levels = append(levels, level{})
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:top]
		}
	}
}

// Names that encoding/json takes for the same, whatever the alphabet, are once
// the same for kiln's own.
func TestFolded(t *testing.T) {
	for r := range unicode.MaxRune + 1 {
		for other := unicode.SimpleFold(r); other > r; other = unicode.SimpleFold(other) {
			if !bytes.Equal(folded([]byte(string(r))), folded([]byte(string(other)))) {
				t.Errorf("%U and %U", r, other)
			}
		}
	}
}
