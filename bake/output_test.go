package bake

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"kiln/bake/sandbox"
)

func TestTailMasksSecrets(t *testing.T) {
	var log bytes.Buffer
	out := newTail(&log, "hunter2", "")
	for _, part := range []string{"password is hun", "ter2\nand again: ", "hunter2"} {
		if _, err := out.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	err := out.explain(&sandbox.ExitError{Command: "x", Code: 1})
	for name, text := range map[string]string{"log": log.String(), "error": err.Error()} {
		if strings.Contains(text, "hunter2") || strings.Count(text, "***") != 2 {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// A secret is masked wherever the pipe parts it: in a line that never ends, at
// the end of one, when its lines come one by one, and when it begins another.
func TestTailMasksPartedSecrets(t *testing.T) {
	long := strings.Repeat("longsecret", 800)
	for _, tc := range []struct {
		name    string
		secrets []string
		parts   []string
		shown   string
	}{
		{"across a long line", []string{"hunter2"}, []string{strings.Repeat("x", tailSize-3) + "hun", "ter2"}, "unt"},
		{"longer than what is kept", []string{long}, []string{long[:5000], long[5000:] + "."}, "longsec"},
		{"again and again", []string{"hunter2"}, []string{strings.Repeat("hunter2", tailSize)}, "hunter"},
		{"line by line", []string{"first line\nsecond line\n"}, []string{"first line\n", "second line\n"}, "line"},
		{"one begins the other", []string{"hunter", "hunter2345"}, []string{"hunter2345\n"}, "2345"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log bytes.Buffer
			out := newTail(&log, tc.secrets...)
			for _, part := range tc.parts {
				out.Write([]byte(part))
			}
			out.end()
			if strings.Contains(log.String(), tc.shown) || !strings.Contains(log.String(), "***") {
				t.Errorf("%q is shown", tc.shown)
			}
		})
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var log bytes.Buffer
	out := newTail(&log)
	for range 1000 {
		out.Write([]byte("0123456789\n"))
	}
	out.Write([]byte("the end"))
	err := out.explain(&sandbox.ExitError{Command: "x", Code: 1})
	if len(err.Error()) > tailSize*2 || !strings.HasSuffix(err.Error(), "the end") || log.Len() != 11007 {
		t.Errorf("%d bytes of error, %d of log", len(err.Error()), log.Len())
	}
	plain := errors.New("no exit")
	if got := out.explain(plain); got != plain {
		t.Errorf("explain(%v) = %v", plain, got)
	}
}
