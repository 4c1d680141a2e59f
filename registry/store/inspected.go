package store

import "io"

// Inspected is what a reader given to Put may be besides: one that looks at
// the bytes that pass, as a verifier of digests does. A Store may then leave
// Read alone: it reads Source itself and hands on what it has read, so that it
// can do something else with the same bytes meanwhile.
type Inspected interface {
	io.Reader
	Source() io.Reader
	// Inspect is called with all that Source gave, in order. It neither
	// changes p nor keeps it. Its error fails the Put.
	Inspect(p []byte) error
	// Finish is called once, after that, with the error that Source ended
	// with, which is io.EOF as a rule. Unless it returns io.EOF the Put fails
	// with what it returns.
	Finish(err error) error
}
