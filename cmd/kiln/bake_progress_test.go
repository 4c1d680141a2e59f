package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/bake"
)

// story is a bake as its observer hears it.
func story() []bake.Event {
	now := time.Now()
	list := []bake.Event{
		{Type: bake.ImageStarted},
		{Type: bake.StepStarted, Step: "run make\nit"},
		{Type: bake.StepOutput, Step: "run make\nit", Text: "cc -o it"},
		{Type: bake.StepFinished, Step: "run make\nit", Took: 1500 * time.Millisecond, Digest: "sha256:1234", Reason: "never built on this machine"},
		{Type: bake.StepStarted, Step: "copy app -> /srv"},
		{Type: bake.StepFinished, Step: "copy app -> /srv", Cached: true},
		{Type: bake.TestStarted, Step: "serves"},
		{Type: bake.TestFinished, Step: "serves", Took: 300 * time.Millisecond},
		{Type: bake.ImageFinished, Tag: "v1", Built: true},
	}
	for i := range list {
		list[i].Image, list[i].Platform, list[i].Time = "acme/shop", "linux/amd64", now
	}
	return append(list,
		bake.Event{Type: bake.ImageFailed, Image: "acme/broken", Err: errors.New("no room")},
		bake.Event{Type: bake.ImageFailed, Image: "acme/top", Err: &bake.SkippedError{Image: "top", Needs: "broken"}})
}

const storyLines = `kiln: acme/shop: run make it: 1.5s
kiln: acme/shop: copy app -> /srv: cached
kiln: acme/shop: test serves: 0.3s
kiln: acme/top: not baked: it needs broken, which failed
`

func TestProgressLines(t *testing.T) {
	for _, verbose := range []bool{false, true} {
		var out bytes.Buffer
		a := &app{stdio: stdio{err: &out}}
		observe, end := a.watch(t.Context(), verbose)
		for _, e := range story() {
			observe(e)
		}
		end()
		want := storyLines
		if verbose {
			want = "acme/shop | cc -o it\n" + want
		}
		if out.String() != want {
			t.Errorf("verbose %t: %q, want %q", verbose, out.String(), want)
		}
	}
}

// Under --json every line on stderr is an event, what is said included.
func TestProgressEvents(t *testing.T) {
	var out bytes.Buffer
	a := &app{stdio: stdio{err: &out}, json: true, events: newJSONEvents(&out, false)}
	a.say("no key")
	observe, end := a.watch(t.Context(), false)
	for _, e := range story() {
		observe(e)
	}
	end()
	var types []string
	for line := range strings.Lines(out.String()) {
		var e bakeEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if e.Schema != "kiln.event/v1" {
			t.Errorf("schema %q", e.Schema)
		}
		types = append(types, e.Type)
		if e.Type == "step.finished" && (e.Cached == nil || *e.Cached == (e.Seconds > 0)) {
			t.Errorf("%s", line)
		}
		if e.Type == "test.finished" && (e.Test != "serves" || e.Step != "") {
			t.Errorf("%s", line)
		}
	}
	want := "message image.started step.started step.finished step.started step.finished test.started test.finished image.finished image.failed image.skipped"
	if got := strings.Join(types, " "); got != want {
		t.Errorf("events %s, want %s", got, want)
	}
}

// On a terminal the lines are whole, what runs is shown below them and gone at
// the end, no line is as wide as the terminal, and nothing is coloured.
func TestProgressOnTerminal(t *testing.T) {
	screen, tty := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 40}); err != nil {
		t.Fatal(err)
	}
	read := make(chan string)
	go func() {
		got, _ := io.ReadAll(screen)
		read <- string(got)
	}()
	a := &app{stdio: stdio{err: tty}, plain: stdio{err: tty}}
	a.status = newStatusLine(tty, func(string) string { return "xterm" })
	a.err = a.status
	observe, end := a.watch(t.Context(), true)
	for i, e := range story() {
		observe(e)
		if e.Type == bake.StepStarted {
			a.say("a warning amid step %d", i)
			time.Sleep(3 * liveRate)
		}
	}
	end()
	if a.err != a.status {
		t.Error("what is said later goes nowhere")
	}
	a.say("stored")
	tty.Close()
	raw := <-read
	if strings.Contains(raw, "\x1b[3") || strings.Contains(raw, "m\x1b") {
		t.Errorf("colours in %q", raw)
	}
	if !strings.Contains(raw, "acme/shop: run make it") || !strings.Contains(raw, "kiln: 1 image, 0 done") {
		t.Errorf("what runs was not shown: %q", raw)
	}
	got := paint(raw)
	want := "kiln: a warning amid step 1\nacme/shop | cc -o it\nkiln: acme/shop: run make it: 1.5s\nkiln: a warning amid step 4\n" +
		strings.Join(strings.SplitAfter(storyLines, "\n")[1:], "") + "kiln: stored\n"
	if got != want {
		t.Errorf("the screen shows %q, want %q", got, want)
	}
}

// paint is what a terminal shows in the end of what it got: new lines, and
// "up N and erase below" (ECMA-48 CUU and ED).
func paint(raw string) string {
	var lines []string
	row := 0
	for raw != "" {
		var n int
		if _, err := fmt.Sscanf(raw, "\x1b[%dA\x1b[J", &n); err == nil {
			raw = raw[strings.Index(raw, "J")+1:]
			row = max(row-n, 0)
			lines = lines[:row]
			continue
		}
		if rest, ok := strings.CutPrefix(raw, eraseLine); ok {
			raw = rest
			continue
		}
		line, rest, _ := strings.Cut(raw, "\n")
		lines, raw = append(lines, strings.TrimRight(line, "\r")), rest
		row++
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{{"short", 10, "short"}, {"just right", 10, "just righ…"}, {"漢字漢字", 6, "漢字…"}, {"x", 1, "…"}} {
		if got := fit(c.text, c.width); got != c.want {
			t.Errorf("fit(%q, %d) = %q, want %q", c.text, c.width, got, c.want)
		}
	}
}
