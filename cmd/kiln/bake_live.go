package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"kiln/bake"
)

// liveRate is how often a terminal is painted anew.
const liveRate = 120 * time.Millisecond

// live is what runs at the moment, painted below the lines of what is done. It
// uses no colour, so that NO_COLOR has nothing to turn off.
type live struct {
	mu      sync.Mutex
	started time.Time
	begun   int // images
	ended   int
	running []liveStep // oldest first
}

// liveStep is a step or a test at work.
type liveStep struct {
	image, platform, what string
	since                 time.Time
}

// watchLive paints on the terminal until the returned function is called. What
// is said meanwhile appears above.
func (a *app) watchLive(ctx context.Context, verbose bool) (observe func(bake.Event), end func()) {
	l := &live{started: time.Now()}
	// Not the bake's context: the last picture is painted when it is over, too.
	p := mpb.NewWithContext(context.WithoutCancel(ctx), mpb.WithOutput(a.plain.err), mpb.WithRefreshRate(liveRate))
	bar, err := p.Add(0, mpb.BarFillerFunc(l.head), mpb.BarFillerTrim(), mpb.BarExtender(mpb.BarFillerFunc(l.lines), false))
	if err != nil { // only after Wait
		return a.observeNothing, func() {}
	}
	before := a.err
	a.status.erase()
	a.err = p
	lines := &progressLines{out: p, verbose: verbose}
	return func(e bake.Event) {
			l.note(e)
			lines.observe(e)
		}, func() {
			bar.Abort(true)
			p.Wait()
			a.err = before
		}
}

func (a *app) observeNothing(bake.Event) {}

// note keeps the picture up to date.
func (l *live) note(e bake.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	what := e.Step
	switch e.Type {
	case bake.ImageStarted:
		l.begun++
	case bake.ImageFinished, bake.ImageFailed:
		l.ended++
		l.remove(func(r liveStep) bool { return r.image == e.Image && r.platform == e.Platform })
	case bake.StepStarted:
		l.running = append(l.running, liveStep{e.Image, e.Platform, what, e.Time})
	case bake.TestStarted:
		l.running = append(l.running, liveStep{e.Image, e.Platform, "test " + what, e.Time})
	case bake.StepFinished:
		l.remove(func(r liveStep) bool { return r.image == e.Image && r.platform == e.Platform && r.what == what })
	case bake.TestFinished:
		l.remove(func(r liveStep) bool { return r.image == e.Image && r.platform == e.Platform && r.what == "test "+what })
	}
}

func (l *live) remove(gone func(liveStep) bool) { l.running = slices.DeleteFunc(l.running, gone) }

// head is the first line: how far the bake is.
func (l *live) head(w io.Writer, stat decor.Statistics) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := fmt.Sprintf("kiln: %s, %d done, %s", counted(l.begun, "image"), l.ended, elapsed(l.started))
	_, err := io.WriteString(w, fit(text, stat.AvailableWidth))
	return err
}

// lines are what runs, one line each.
func (l *live) lines(w io.Writer, stat decor.Statistics) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.running {
		text := fmt.Sprintf("  %s  %s: %s", elapsed(r.since), r.image, oneLine(r.what))
		if _, err := io.WriteString(w, fit(text, stat.AvailableWidth)+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// elapsed is the time since then in at least five columns.
func elapsed(then time.Time) string {
	d := time.Since(then)
	if d >= time.Minute {
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%4.1fs", d.Seconds())
}

// fit cuts a line that would wrap: a wrapped one could not be painted over. Of
// letters that are two columns wide, half as many fit.
func fit(text string, width int) string {
	used := 0
	for i, r := range text {
		wide := 1
		if r >= 0x1100 {
			wide = 2
		}
		if used+wide >= width {
			return text[:i] + "…"
		}
		used += wide
	}
	return text
}
