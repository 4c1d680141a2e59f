package store

import "io"

// Identified is what a reader from Open may be besides.
type Identified interface {
	io.ReadCloser
	// Identity is a comparable value, or nil. As long as it is the same for an
	// object, nobody has written to the object's bytes. It knows nothing of
	// what a disk does by itself.
	Identity() any
	// WriteTo writes what is left, by w's ReadFrom where it has one.
	io.WriterTo
}
