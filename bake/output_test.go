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
