package sandbox

// The parent and the sandbox's first process talk over two pipes: one order
// down, reports up, both JSON. The first pipe stays open as long as the parent
// lives; its end is the sandbox's end.

const (
	orderFD  = 3
	reportFD = 4
)

// order is what the parent tells the first process.
type order struct {
	Spec Spec
	// UserNS: this process lives in a user namespace, so overlayfs keeps its
	// marks in user.* attributes and devices are bound instead of made.
	UserNS bool
	// Copied: the root is a copy that only this sandbox uses; mount points are
	// made in it also when it is read-only inside.
	Copied bool
	// Probe: set up everything, then end without executing anything.
	Probe bool

	// Limiter keeps MaxProcesses; "" where there is none to keep.
	Limiter limiter

	copied    *copiedRoot // the parent's own business, as is
	uncounted bool        // for tests: MaxProcesses is the kernel's business alone
}

// report is what the first process tells the parent; several follow each other.
type report struct {
	// Made are mount points that were made inside Upper, outermost first; the
	// parent removes them when all is over.
	Made []string `json:",omitempty"`
	// Step and Error: the sandbox could not be made. Errno is Error's, if any.
	Step  string `json:",omitempty"`
	Error string `json:",omitempty"`
	Errno int    `json:",omitempty"`
	// Started: the command is running.
	Started bool `json:",omitempty"`
	// Exited: the command has ended; Reason is set if it never began.
	Exited bool   `json:",omitempty"`
	Code   int    `json:",omitempty"`
	Signal int    `json:",omitempty"`
	Reason string `json:",omitempty"`
}
