package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"kiln/bake"
)

// watch says how a bake goes, on stderr: JSON lines with --json, lines of what
// is running below those of what is done on a terminal, else lines of what is
// done. The returned function ends it.
func (a *app) watch(ctx context.Context, verbose bool) (observe func(bake.Event), end func()) {
	switch {
	case a.events != nil:
		return a.events.observe, func() {}
	case a.status != nil:
		return a.watchLive(ctx, verbose)
	}
	lines := &progressLines{out: a.err, verbose: verbose}
	return lines.observe, func() {}
}

// progressLines tells what is done, a line each.
type progressLines struct {
	out     io.Writer
	verbose bool // also what steps print
}

func (p *progressLines) observe(e bake.Event) {
	switch e.Type {
	case bake.StepFinished:
		if e.Cached {
			p.say("%s: %s: cached", e.Subject(), oneLine(e.Step))
			return
		}
		p.say("%s: %s: %.1fs", e.Subject(), oneLine(e.Step), e.Took.Seconds())
	case bake.StepOutput:
		if p.verbose {
			fmt.Fprintf(p.out, "%s | %s\n", e.Subject(), e.Text)
		}
	case bake.TestFinished:
		p.say("%s: test %s: %.1fs", e.Subject(), oneLine(e.Step), e.Took.Seconds())
	case bake.ImageFailed:
		if skipped := (*bake.SkippedError)(nil); errors.As(e.Err, &skipped) {
			p.say("%s: not baked: it needs %s, which failed", e.Subject(), skipped.Needs)
		}
	}
}

// say writes a line at once: several bakes' lines do not mix.
func (p *progressLines) say(format string, args ...any) {
	fmt.Fprintf(p.out, "kiln: "+format+"\n", args...)
}

// oneLine keeps a command in a report short.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 80 {
		return string(r[:79]) + "…"
	}
	return s
}
