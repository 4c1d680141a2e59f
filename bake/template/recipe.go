package template

import (
	"fmt"
	"time"
)

// FileName is the name of a template inside its folder.
const FileName = "kiln.hcl"

// The tiers of an image.
const (
	TierBase       = "base"       // an operating system
	TierMiddleware = "middleware" // a runtime
	TierApp        = "app"
)

// Times that a step gets when the template says none.
const (
	DefaultRunTimeout  = 30 * time.Minute
	DefaultTestTimeout = time.Minute
	DefaultHTTPWithin  = 10 * time.Second
)

// Pos is a place in a template.
type Pos struct {
	File string // base name of the template
	Line int    // from 1
}

// String is the place as in messages, "kiln.hcl:14"; of what no template says,
// but the record of a version, it is that.
func (p Pos) String() string {
	if p.File == "" {
		return "its record"
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Recipe is an evaluated and checked template.
type Recipe struct {
	Project string
	Dir     string   // absolute path of the template's folder
	File    string   // absolute path of the template
	Images  []*Image // parents before children, else in file order
	// Variables are those that were set from outside, as they were written;
	// Secrets are the names of the sensitive ones among them, in file order.
	Variables map[string]string
	Secrets   []string
	Reads     []string // files that functions and keyrings read, relative to Dir, sorted
}

// Image is one image of a recipe; an instance where the block had for_each, and
// one for each platform where it has several.
type Image struct {
	Name     string // within the project; "name-key" for an instance
	FullName string // project/name, an OCI repository name
	Tier     string // one of the Tier constants
	Version  string // as written; "" when there is none
	From     From
	Debian   *Debian
	// Compression of the layers of its own steps: "gzip" or "zstd"; "" is gzip.
	Compression string
	Packages    []string // as written, without repeats; see AllPackages
	Steps       []Step   // copy and run, in file order
	Config      Config
	Tests       []Test
	Scan        Scan
	Hardening   *Hardening // nil without one
	Annotations map[string]string
	Platforms   []string // exactly one, as linux/amd64
	All         []string // sorted platforms of a block that makes an image for each of several; else nil
	Pos         Pos
}

// FromKind says where a parent comes from.
type FromKind string

// The kinds of parent.
const (
	FromScratch FromKind = ""        // no parent
	FromImage   FromKind = "image"   // an image of this recipe
	FromStore   FromKind = "store"   // Name and Digest in the store
	FromRemote  FromKind = "remote"  // Name and Digest at Host
	FromChannel FromKind = "channel" // what Channel of Name holds when it is locked
)

// From is the parent of an image. Fields that do not belong to Kind are empty.
type From struct {
	Kind    FromKind
	Image   *Image
	Host    string
	Name    string
	Digest  string
	Channel string

	ref string // until it is linked: the name of an image of the recipe
}

// String is the parent as a person would refer to it.
func (f From) String() string {
	switch f.Kind {
	case FromImage:
		return f.Image.FullName
	case FromStore:
		return f.Name + "@" + f.Digest
	case FromRemote:
		if f.Digest == "" {
			return f.Host + "/" + f.Name + ":" + f.Channel
		}
		return f.Host + "/" + f.Name + "@" + f.Digest
	case FromChannel:
		return f.Name + ":" + f.Channel
	default:
		return "scratch"
	}
}

// The variants of a Debian base.
const (
	VariantMinbase    = "minbase"    // essential, required and apt
	VariantEssential  = "essential"  // what dpkg calls Essential
	VariantDistroless = "distroless" // only what is asked for; no dpkg, no shell
)

// Debian says which packages can be had and which base is made of them.
type Debian struct {
	Suite       string   // "" beside a parent, whose suite counts then
	Variant     string   // one of the Variant constants; "" beside a parent
	Components  []string // nil for those of the host's sources, or main
	Packages    []string
	Mirror      string   // base URL or absolute path; "" for the host's sources
	Keyring     string   // absolute path, or an armoured key; "" for the distribution's
	SourcesList string   // text of /etc/apt/sources.list in the image
	Sources     []Source // archives besides the distribution's
}

// Source is a further archive, with its own key.
type Source struct {
	Mirror     string
	Suite      string
	Components []string
	Keyring    string // absolute path, or an armoured key
}

// Step is a *Copy or a *Run: it makes at most one layer.
type Step interface{ Position() Pos }

// Copy puts files of the template's folder into the image; see Files.
type Copy struct {
	Root    string     // absolute path of the template's folder
	Rel     string     // source relative to Root, slash-separated and clean
	Source  string     // absolute path of the source
	Target  string     // absolute and clean; the file itself, or the folder that receives the source's content
	UID     int        //
	GID     int        //
	Mode    *uint32    // permission and set-id bits for files; nil keeps 0755 for executables, 0644 for the rest
	Exclude []string   // patterns as in .kilnignore, relative to the source
	ModTime *time.Time // nil for the fixed time
	All     bool       // the folder's .kilnignore does not count
	Pos     Pos
	listed  []File // once ReadFiles was asked
}

// Run runs a command in the image's tree and keeps what it changes.
type Run struct {
	Command []string
	Workdir string // absolute
	Env     map[string]string
	Secret  []string // names in Env whose values are sensitive, sorted: never print or record these values
	Network string   // "none" or "host"
	User    string   // "" for root, "uid[:gid]" or a name of the image
	Timeout time.Duration
	// InPlace is a Dockerfile's RUN: Env is its whole environment, and /tmp and
	// /run are the image's own, not memory that goes when the command ends.
	InPlace bool
	Mounts  []Mount
	// Name of the step, which the image's history tells; "" where it follows
	// from Command.
	Name string `json:"-"`
	Pos  Pos
}

// Position says where the step is written.
func (c *Copy) Position() Pos { return c.Pos }

// Position says where the step is written.
func (r *Run) Position() Pos { return r.Pos }

// Config is the image's run configuration. Zero fields are inherited from the
// parent; an empty list that is not nil clears the parent's.
type Config struct {
	User        string
	Workdir     string
	Entrypoint  []string
	Cmd         []string
	Env         map[string]string
	Ports       []string // as 8080/tcp, sorted
	Labels      map[string]string
	Volumes     []string // absolute
	StopSignal  string   // as SIGTERM
	Healthcheck *Healthcheck
}

// Healthcheck is a command that says whether a container is well. A zero
// duration or count leaves the default to the container's runner.
type Healthcheck struct {
	Command     []string
	Interval    time.Duration
	Timeout     time.Duration
	StartPeriod time.Duration
	Retries     int
}

// Test proves something about a finished image. Either Command or HTTP is set.
type Test struct {
	Name         string
	Command      []string
	Stdout       string // regular expression; "" for any
	Stderr       string // regular expression; "" for any
	Exit         int
	HTTP         *HTTPTest
	User         string // "" for the image's
	Env          map[string]string
	WritableRoot bool
	Timeout      time.Duration
	Pos          Pos
}

// HTTPTest starts the image as it is configured and asks it over loopback.
type HTTPTest struct {
	Port   int
	Path   string
	Status int
	Body   string // regular expression; "" for any
	Within time.Duration
}
