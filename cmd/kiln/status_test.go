package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestStatusLine(t *testing.T) {
	var screen bytes.Buffer
	s := &statusLine{out: &screen, width: func() int { return 10 }}
	s.show("one")
	s.show("a line that is too long")
	fmt.Fprintln(s, "done")
	fmt.Fprintln(s, "more")
	want := eraseLine + "one" + eraseLine + "a line t…" + eraseLine + "done\nmore\n"
	if screen.String() != want {
		t.Errorf("the terminal got %q, want %q", screen.String(), want)
	}
}

// openTerminal makes a pseudo-terminal: what is written to tty is read from screen.
func openTerminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return screen, tty
}

func TestStatusOnTerminalsOnly(t *testing.T) {
	term := func(name string) func(string) string { return func(string) string { return name } }
	screen, tty := openTerminal(t)
	if newStatusLine(tty, term("dumb")) != nil || newStatusLine(new(bytes.Buffer), term("xterm")) != nil {
		t.Error("a status line where none can be shown")
	}
	a := &app{status: newStatusLine(tty, term("xterm"))}
	if a.status == nil {
		t.Fatal("no status line on a terminal")
	}
	a.err = a.status
	a.working("acme/%s", "shop")
	a.say("done")
	tty.Close()
	got, _ := io.ReadAll(screen) // ends in EIO when the other side is closed
	text := strings.ReplaceAll(string(got), eraseLine, "|")
	want := "|kiln: acme/shop …|kiln: done\r\n"
	if text != want {
		t.Errorf("the terminal got %q, want %q", text, want)
	}

	file, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if newStatusLine(file, term("xterm")) != nil {
		t.Error("a status line in a file")
	}
}
