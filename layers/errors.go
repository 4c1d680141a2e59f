package layers

import (
	"errors"
	"fmt"
)

// ErrChanged says that a source's content or size changed while it was read.
var ErrChanged = errors.New("changed while it was read")

// EntryError is what is wrong with one path that was to become part of a layer.
type EntryError struct {
	Path string // as in the layer, or below the root that was listed
	Err  error
}

// Error reads "PATH: cause", with the path quoted.
func (e *EntryError) Error() string { return fmt.Sprintf("%q: %v", e.Path, e.Err) }

// Unwrap returns the cause.
func (e *EntryError) Unwrap() error { return e.Err }

func entryErrorf(path, format string, args ...any) error {
	return &EntryError{Path: path, Err: fmt.Errorf(format, args...)}
}

// A Fault classifies what is wrong with an archive.
type Fault string

// The faults that an ArchiveError names.
const (
	FaultCorrupt     Fault = "corrupt"     // not a tar archive, cut short, or inconsistent
	FaultPath        Fault = "path"        // absolute, with .., empty, not UTF-8 or too long
	FaultEscape      Fault = "escape"      // leads out of the root through a link
	FaultConflict    Fault = "conflict"    // an entry below something that is no folder, a link without its target
	FaultLimit       Fault = "limit"       // more entries or bytes than allowed
	FaultUnsupported Fault = "unsupported" // an entry type or attribute that layers do not hold
)

// ArchiveError is what is wrong with an archive that was to be read; nothing
// outside of the root was touched.
type ArchiveError struct {
	Path  string // the entry's name as the archive has it; may be empty
	Fault Fault
	Err   error
}

// Error reads "archive entry PATH: cause".
func (e *ArchiveError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("archive: %v", e.Err)
	}
	return fmt.Sprintf("archive entry %q: %v", e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *ArchiveError) Unwrap() error { return e.Err }

func archiveErrorf(path string, fault Fault, format string, args ...any) error {
	return &ArchiveError{Path: path, Fault: fault, Err: fmt.Errorf(format, args...)}
}
