package bake

import (
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
	Step     string        // of steps and tests
	Cached   bool          // of StepFinished: nothing was made
	Reason   string        // of StepFinished: one sentence why it was (not) found in the cache
	Took     time.Duration // of what finished
	Digest   digest.Digest // of the image or the step's layer, once there is one
	Tag      string        // of ImageFinished
	Built    bool          // of ImageFinished: the version is new
	Err      error         // of ImageFailed
}

// tell hands an event about an image to the observer.
func (b *Builder) tell(recipe *template.Image, e Event) {
	if b.Observe == nil {
		return
	}
	e.Time, e.Image, e.Platform = time.Now(), recipe.FullName, recipe.Platform()
	b.Observe(e)
}
