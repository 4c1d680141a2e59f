package template

import (
	"fmt"
	"strings"
)

// Declare is a step of files, folders, links, users, groups and permissions
// that a template states one by one. Blocks that follow each other are one
// step, and one layer; what they say does not depend on their order.
type Declare struct {
	Files       []DeclaredFile
	Users       []User
	Groups      []Group
	Permissions []Permission
	Pos         Pos
}

// FileKind is what a declared path becomes.
type FileKind string

// The kinds of a declared path.
const (
	KindFile    FileKind = "file"
	KindDir     FileKind = "dir"
	KindSymlink FileKind = "symlink"
)

// DeclaredFile is a path and all that it is.
type DeclaredFile struct {
	Path    string // absolute and clean
	Kind    FileKind
	Content string // of a file
	To      string // of a symlink, as written
	Mode    uint32
	UID     int
	GID     int
}

// User is an account of the image.
type User struct {
	Name     string
	UID      int
	GID      int      // of its primary group
	Groups   []string // by name, besides the primary one
	Home     string
	MakeHome bool // home was written: it is made where it is missing
	Shell    string
	Comment  string
}

// Group is a group of the image.
type Group struct {
	Name    string
	GID     int
	Members []string // sorted
}

// Permission changes mode or owner of what lies below.
type Permission struct {
	Path      string  // absolute and clean
	Mode      *uint32 // of files, and of folders with x where r is; nil keeps it
	Owner     bool    // UID and GID are set
	UID       int
	GID       int
	Recursive bool
}

// Position says where the step is written.
func (d *Declare) Position() Pos { return d.Pos }

// maxNamed is how many of its parts a step's name lists.
const maxNamed = 3

// String names the step.
func (d *Declare) String() string {
	var parts []string
	for _, g := range d.Groups {
		parts = append(parts, "group "+g.Name)
	}
	for _, u := range d.Users {
		parts = append(parts, "user "+u.Name)
	}
	for _, f := range d.Files {
		parts = append(parts, string(f.Kind)+" "+f.Path)
	}
	for _, p := range d.Permissions {
		parts = append(parts, "permissions "+p.Path)
	}
	more := ""
	if over := len(parts) - maxNamed; over > 0 {
		parts, more = parts[:maxNamed], fmt.Sprintf(" and %d more", over)
	}
	return "declare " + strings.Join(parts, ", ") + more
}
