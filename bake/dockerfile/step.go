package dockerfile

import v1 "github.com/google/go-containerregistry/pkg/v1"

// Base is what a stage begins with.
type Base struct {
	Config v1.Config // of the image; not looked at where Stage is set
	Author string
	Stage  *Result // of the earlier stage that FROM names
}

// Result is what a stage asks for.
type Result struct {
	Steps  []Step
	Config v1.Config // the image's, after the last instruction
	Author string

	env variables // what the next instruction would see
}

// Step makes at most one layer: a *Run, *Copy or *Workdir.
type Step interface {
	// Label is the step's name, as RUN npm ci.
	Label() string
	// At is the line of the Dockerfile, of FROM for a trigger.
	At() int
}

// Instruction is what all steps have.
type Instruction struct {
	Name string // the instruction in one line, variables as written
	Line int
}

// Label implements Step.
func (i Instruction) Label() string { return i.Name }

// At implements Step.
func (i Instruction) At() int { return i.Line }

// Run runs a command.
type Run struct {
	Instruction
	Args    []string
	Env     []string // KEY=value, the image's and the arguments; PATH is among them
	Dir     string   // absolute
	User    string   // "" for root
	Network string   // "none" or "host"
	Mounts  []Mount
	Script  *Inline // a heredoc with a #! line, to be had at ScriptDir/Path; nil for none
}

// Mount is what a RUN sees besides the image.
type Mount struct {
	Type     string // bind, cache, tmpfs or secret
	From     Source // of a bind; the context where it is zero
	Source   string // below From, absolute and clean
	Target   string // absolute and clean; may be "" for a secret with Env
	ReadOnly bool
	Size     int64  // of a tmpfs in bytes; 0 for the default
	ID       string // of a cache or secret
	Required bool   // of a secret
	Env      string // variable that gets a secret; "" for none
	Mode     uint32 // of a cache's folder or a secret; 0 for the default
	UID, GID int
}

// Copy puts files into the image: COPY or ADD.
type Copy struct {
	Instruction
	Add      bool
	From     Source   // the context where it is zero
	Sources  []string // as written, variables replaced
	Contents []Inline
	Dest     string // absolute; ends in a slash for a folder that receives
	Owner    string // of --chown: user[:group], names or numbers; "" for root
	Mode     string // of --chmod, octal; "" keeps the files'
	Link     bool   // --link
	Parents  bool   // --parents
	Exclude  []string
	Unpack   bool   // extract archives of the context
	Checksum string // of a URL, as sha256:…, or of a git commit
	KeepGit  bool   // keep the .git folder of a git source
}

// Inline is a file that stands in the Dockerfile itself.
type Inline struct {
	Path string
	Data string
}

// Workdir makes a folder where there is none.
type Workdir struct {
	Instruction
	Path string // absolute and clean
	User string // its owner; "" for root
}
