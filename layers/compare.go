package layers

import (
	"archive/tar"
	"fmt"
	"maps"
	"slices"
)

// Change says what became of a path.
type Change string

// The changes.
const (
	Added   Change = "added"
	Removed Change = "removed"
	Changed Change = "changed"
)

// Difference is a path that two trees, or two layers, do not have alike.
type Difference struct {
	Path   string     `json:"path"`
	Change Change     `json:"change"`
	What   []string   `json:"what,omitempty"`   // of a changed one; see Differ
	Before *FileState `json:"before,omitempty"` // nil of an added one
	After  *FileState `json:"after,omitempty"`  // nil of a removed one
}

// FileState is what is compared of a path, as people write it.
type FileState struct {
	Type   string `json:"type"`  // file, folder, symlink, …
	Mode   string `json:"mode"`  // octal, with set-id bits
	Owner  string `json:"owner"` // uid:gid
	Size   int64  `json:"size,omitempty"`
	Digest string `json:"digest,omitempty"` // of a file's content
	Link   string `json:"link,omitempty"`   // of a symlink; of a hard link, the path it was made to
	// What only entries of layers tell, not indexes.
	Time       string            `json:"time,omitempty"`
	Device     string            `json:"device,omitempty"`     // major:minor
	Attributes map[string]string `json:"attributes,omitempty"` // extended; values quoted
}

// State is what is compared of a node.
func (n Node) State() FileState {
	return FileState{
		Type: typeName(n.Type), Mode: fmt.Sprintf("%04o", n.Mode), Owner: fmt.Sprintf("%d:%d", n.UID, n.GID),
		Size: n.Size, Digest: n.Digest, Link: n.Link,
	}
}

// Differ names in what two states differ: type, mode, owner, size, content,
// link, time, device, attributes. Of things of two types nothing else counts.
func Differ(a, b FileState) []string {
	if a.Type != b.Type {
		return []string{"type"}
	}
	var what []string
	note := func(name string, differs bool) {
		if differs {
			what = append(what, name)
		}
	}
	note("mode", a.Mode != b.Mode)
	note("owner", a.Owner != b.Owner)
	note("size", a.Size != b.Size)
	note("content", a.Digest != b.Digest)
	note("link", a.Link != b.Link)
	note("time", a.Time != b.Time)
	note("device", a.Device != b.Device)
	note("attributes", !maps.Equal(a.Attributes, b.Attributes))
	return what
}

// Compare lists how after differs from before, in tree order. Whole images are
// compared by their merged indexes.
func Compare(before, after *Index) []Difference {
	return compareStates(before.states(), after.states())
}

// states of an index. A folder that no layer has as an entry is as it would be
// made.
func (ix *Index) states() map[string]FileState {
	all := make(map[string]FileState, len(ix.nodes))
	for p, n := range ix.nodes {
		if p == "." {
			continue
		}
		all[p] = n.State()
	}
	return all
}

func compareStates(before, after map[string]FileState) []Difference {
	var list []Difference
	for p, b := range before {
		a, there := after[p]
		if !there {
			list = append(list, Difference{Path: p, Change: Removed, Before: &b})
			continue
		}
		if what := Differ(b, a); len(what) > 0 {
			list = append(list, Difference{Path: p, Change: Changed, What: what, Before: &b, After: &a})
		}
	}
	for p, a := range after {
		if _, there := before[p]; !there {
			list = append(list, Difference{Path: p, Change: Added, After: &a})
		}
	}
	slices.SortFunc(list, func(x, y Difference) int { return ComparePaths(x.Path, y.Path) })
	return list
}

// Weigh counts the regular files of an index and their bytes; a file with
// several names counts once for each, its bytes once.
func (ix *Index) Weigh() (files int, size int64) {
	for _, n := range ix.nodes {
		if n.Type != tar.TypeReg {
			continue
		}
		files++
		if n.Link == "" {
			size += n.Size
		}
	}
	return files, size
}
