package main

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// statusLine is a terminal whose last line says what goes on, until something
// is written. It uses no colour, so that NO_COLOR has nothing to turn off.
type statusLine struct {
	mu    sync.Mutex
	out   io.Writer
	width func() int // columns of the terminal
	shown bool
}

// eraseLine goes back to the start of the line and empties it (ECMA-48, EL).
const eraseLine = "\r\x1b[K"

// newStatusLine puts a status line on a terminal; nil if w is none, or one
// that cannot empty a line.
func newStatusLine(w io.Writer, getenv func(string) string) *statusLine {
	f, ok := w.(*os.File)
	if !ok || getenv("TERM") == "dumb" || getenv("TERM") == "" {
		return nil
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return nil
	}
	return &statusLine{out: w, width: func() int {
		size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err != nil || size.Col == 0 {
			return 80
		}
		return int(size.Col)
	}}
}

// show replaces the status. What does not fit into a line is cut.
func (s *statusLine) show(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := []rune(text)
	if width := s.width(); len(r) >= width {
		r = append(r[:max(width-2, 0)], '…')
	}
	s.shown = true
	io.WriteString(s.out, eraseLine+string(r))
}

// erase takes the status away.
func (s *statusLine) erase() { _, _ = s.Write(nil) }

// Write writes p in place of the status.
func (s *statusLine) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown {
		s.shown = false
		if _, err := io.WriteString(s.out, eraseLine); err != nil {
			return 0, err
		}
	}
	return s.out.Write(p)
}
