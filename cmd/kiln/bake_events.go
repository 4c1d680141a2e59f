package main

import (
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"kiln/bake"
)

// bakeEvent is a line of JSON on stderr under --json; see docs/bake.md. Fields
// may be added.
type bakeEvent struct {
	Schema   string        `json:"schema"` // kiln.event/v1
	Type     string        `json:"type"`
	Time     time.Time     `json:"time"`
	Image    string        `json:"image,omitempty"`
	Platform string        `json:"platform,omitempty"`
	Step     string        `json:"step,omitempty"`
	Test     string        `json:"test,omitempty"`
	Cached   *bool         `json:"cached,omitempty"` // of step.finished
	Reason   string        `json:"reason,omitempty"`
	Seconds  float64       `json:"seconds,omitempty"`
	Digest   digest.Digest `json:"digest,omitempty"`
	Tag      string        `json:"tag,omitempty"`
	Built    *bool         `json:"built,omitempty"` // of image.finished
	Error    string        `json:"error,omitempty"`
	Text     string        `json:"text,omitempty"` // of step.output and message
}

// messageEvent is what would be a line of talk without --json.
const messageEvent = "message"

// imageSkipped is the failure of an image for the sake of another.
const imageSkipped = "image.skipped"

func newBakeEvent(e bake.Event) bakeEvent {
	out := bakeEvent{
		Type: string(e.Type), Time: e.Time, Image: e.Image, Platform: e.Platform, Step: e.Step,
		Reason: e.Reason, Seconds: e.Took.Seconds(), Digest: e.Digest, Tag: e.Tag, Text: e.Text,
	}
	switch e.Type {
	case bake.StepFinished:
		out.Cached = &e.Cached
	case bake.ImageFinished:
		out.Built = &e.Built
	case bake.TestStarted, bake.TestFinished:
		out.Step, out.Test = "", e.Step
	}
	if e.Err != nil {
		out.Error = e.Err.Error()
		if errors.As(e.Err, new(*bake.SkippedError)) {
			out.Type = imageSkipped
		}
	}
	return out
}

// jsonEvents writes events, and talk among them, as lines of JSON.
type jsonEvents struct {
	mu      sync.Mutex
	enc     *json.Encoder
	verbose bool // also what steps print
}

func newJSONEvents(w io.Writer, verbose bool) *jsonEvents {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &jsonEvents{enc: enc, verbose: verbose}
}

func (j *jsonEvents) observe(e bake.Event) {
	if e.Type != bake.StepOutput || j.verbose {
		j.write(newBakeEvent(e))
	}
}

func (j *jsonEvents) message(text string) {
	j.write(bakeEvent{Type: messageEvent, Time: time.Now(), Text: text})
}

func (j *jsonEvents) write(e bakeEvent) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.Schema = "kiln.event/v1"
	_ = j.enc.Encode(e) // a reader that went away does not stop a bake
}
