package bake

import (
	"bytes"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"kiln/bake/template"
)

// EventType says what an Event tells.
type EventType string

// The types of an Event, in the order in which an image meets them.
const (
	ImageStarted  EventType = "image.started"
	StepStarted   EventType = "step.started"
	StepFinished  EventType = "step.finished" // built, or found in the cache
	StepOutput    EventType = "step.output"   // a line that a step printed
	TestStarted   EventType = "test.started"
	TestFinished  EventType = "test.finished" // passed; one that passed before is not run
	ImageFinished EventType = "image.finished"
	ImageFailed   EventType = "image.failed"
)

// Event is one thing that happened in a bake.
type Event struct {
	Type     EventType
	Time     time.Time
	Image    string // project/name
	Platform string
	Several  bool          // the image has more platforms than this one
	Step     string        // of steps and tests
	Cached   bool          // of StepFinished: nothing was made
	Reason   string        // of StepFinished: one sentence why it was (not) found in the cache
	Took     time.Duration // of what finished
	Digest   digest.Digest // of the image or the step's layer, once there is one
	Tag      string        // of ImageFinished
	Built    bool          // of ImageFinished: the version is new
	Err      error         // of ImageFailed
	Text     string        // of StepOutput, without the line's end
}

// Subject is the image, with the platform where it has several.
func (e Event) Subject() string {
	if e.Several {
		return e.Image + " " + e.Platform
	}
	return e.Image
}

// tell hands an event about an image to the observer.
func (b *Builder) tell(recipe *template.Image, e Event) {
	if b.Observe == nil {
		return
	}
	e.Time, e.Image, e.Platform, e.Several = time.Now(), recipe.FullName, recipe.Platform(), len(recipe.All) > 1
	b.Observe(e)
}

// maxOutputLine is how long a line of output may get before it is told in parts.
const maxOutputLine = 8 << 10

// printer tells what a step prints line by line.
type printer struct {
	mu   sync.Mutex
	line []byte
	tell func(line string)
}

func (b *Builder) printer(recipe *template.Image, step string) *printer {
	return &printer{tell: func(line string) { b.tell(recipe, Event{Type: StepOutput, Step: step, Text: line}) }}
}

// Write implements io.Writer.
func (p *printer) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = append(p.line, data...)
	for {
		end := bytes.IndexByte(p.line, '\n')
		switch {
		case end >= 0:
			p.tell(string(bytes.TrimSuffix(p.line[:end], []byte("\r"))))
			p.line = p.line[end+1:]
		case len(p.line) >= maxOutputLine:
			p.tell(string(p.line[:maxOutputLine]))
			p.line = p.line[maxOutputLine:]
		default:
			return len(data), nil
		}
	}
}

// flush tells a line that never ended.
func (p *printer) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.line) > 0 {
		p.tell(string(p.line))
		p.line = nil
	}
}
