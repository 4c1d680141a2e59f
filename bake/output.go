package bake

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"kiln/bake/sandbox"
)

// tailSize is how much of a command's output an error repeats, in bytes.
const tailSize = 4 << 10

// tail passes output on and remembers its end for the error message. Secrets
// in it are masked, line by line, in both.
type tail struct {
	mu      sync.Mutex
	next    io.Writer
	buf     bytes.Buffer
	line    []byte            // not yet ended
	secrets *strings.Replacer // nil without any
	masked  []string          // what it masks, longest first
}

func newTail(next io.Writer, secrets ...string) *tail {
	t := &tail{next: next}
	for _, s := range secrets {
		t.masked = append(t.masked, s)
		for line := range strings.Lines(s) { // nobody prints all of them at once
			if line = strings.Trim(line, "\r\n"); len(line) >= minMasked {
				t.masked = append(t.masked, line)
			}
		}
	}
	t.masked = slices.DeleteFunc(t.masked, func(s string) bool { return s == "" })
	slices.SortFunc(t.masked, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	if len(t.masked) > 0 {
		var pairs []string
		for _, s := range t.masked {
			pairs = append(pairs, s, "***")
		}
		t.secrets = strings.NewReplacer(pairs...)
	}
	return t
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.secrets == nil {
		return len(p), t.pass(p)
	}
	t.line = append(t.line, p...)
	end := bytes.LastIndexByte(t.line, '\n') + 1
	if end == 0 && len(t.line) >= tailSize {
		end = t.cut()
	}
	if end == 0 {
		return len(p), nil
	}
	whole := t.secrets.Replace(string(t.line[:end]))
	t.line = append(t.line[:0], t.line[end:]...)
	return len(p), t.pass([]byte(whole))
}

// cut is where a long line may be parted: no secret lies across it, nor begins
// before it and is still to be printed.
func (t *tail) cut() int {
	end := max(0, len(t.line)-len(t.masked[0])+1)
	for at := -1; at != end; {
		at = end
		for _, s := range t.masked {
			from := max(0, end-len(s)+1)
			if i := bytes.Index(t.line[from:min(len(t.line), end+len(s)-1)], []byte(s)); i >= 0 {
				end = from + i
			}
		}
	}
	return end
}

// pass hands output on and remembers it.
func (t *tail) pass(p []byte) error {
	t.buf.Write(p)
	if over := t.buf.Len() - tailSize; over > 0 {
		t.buf.Next(over)
	}
	_, err := t.next.Write(p)
	return err
}

// flush passes on a line that never ended.
func (t *tail) flush() {
	if t.secrets != nil && len(t.line) > 0 {
		t.pass([]byte(t.secrets.Replace(string(t.line))))
		t.line = nil
	}
}

// end is told that nothing more comes.
func (t *tail) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
}

// explain adds what the command printed last to its error.
func (t *tail) explain(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
	text := strings.TrimSpace(t.buf.String())
	if exit := (*sandbox.ExitError)(nil); text == "" || !errors.As(err, &exit) {
		return err
	}
	return fmt.Errorf("%w; its output ended:\n  %s", err, strings.ReplaceAll(text, "\n", "\n  "))
}

// bytes is the end of the output so far.
func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
	return bytes.Clone(t.buf.Bytes())
}

// limited drops what goes beyond its limit, so that a chatty test fills no
// memory.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	if _, err := l.w.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// withOutput adds what a command printed to an error.
func withOutput(err error, outputs ...[]byte) error {
	var text []string
	for _, o := range outputs {
		if s := strings.TrimSpace(string(clip(o))); s != "" {
			text = append(text, strings.ReplaceAll(s, "\n", "\n  "))
		}
	}
	if len(text) == 0 {
		return err
	}
	return fmt.Errorf("%w; it printed:\n  %s", err, strings.Join(text, "\n  "))
}

// clip keeps the end of long output.
func clip(b []byte) []byte {
	if len(b) > tailSize {
		return b[len(b)-tailSize:]
	}
	return b
}
