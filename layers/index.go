package layers

import (
	"archive/tar"
	"iter"
	"maps"
	"path"
	"slices"
)

// TypeWhiteout is the type of an index node that removes what lies below at
// its path. Only indexes of single layers have it.
const TypeWhiteout = 'W'

// Node is what an index knows of one path.
type Node struct {
	// Type is a type flag of archive/tar, or TypeWhiteout. A hard link has its
	// target's type (TypeReg) and content, and Link set.
	Type byte   `json:"t"`
	Mode uint32 `json:"m,omitempty"` // POSIX permission bits, 07777
	UID  int    `json:"u,omitempty"`
	GID  int    `json:"g,omitempty"`
	Size int64  `json:"s,omitempty"`
	// Link is the text of a symlink, or the path that a hard link was made to.
	Link string `json:"l,omitempty"`
	// Digest is that of a regular file's content, "sha256:…".
	Digest string `json:"d,omitempty"`
	// Capability is the extended attribute security.capability of a regular
	// file, in hex; see CapabilityXattrs.
	Capability string `json:"c,omitempty"`
	// Opaque folders hide what lies below them. Only in indexes of layers.
	Opaque bool `json:"o,omitempty"`
	// Implicit folders are no entries of the layer but lie above one.
	Implicit bool `json:"i,omitempty"`
}

// IsDir reports whether the node is a folder.
func (n Node) IsDir() bool { return n.Type == tar.TypeDir }

// Index maps the paths of a layer, or of a whole image, to what they are,
// without the content. Paths are those of Entry.Path. An Index is safe for
// concurrent reading.
type Index struct {
	nodes map[string]Node
}

// NewIndex returns an empty index: that of an image from scratch.
func NewIndex() *Index { return &Index{nodes: map[string]Node{}} }

// Len returns the number of paths.
func (ix *Index) Len() int { return len(ix.nodes) }

// Node returns what is at exactly this path; no symlink is followed. The root
// "." is a folder.
func (ix *Index) Node(p string) (Node, bool) {
	if p == "." || p == "" {
		return Node{Type: tar.TypeDir, Mode: 0o755, Implicit: true}, true
	}
	n, ok := ix.nodes[p]
	return n, ok
}

// All yields every path with what it is, in no order.
func (ix *Index) All() iter.Seq2[string, Node] { return maps.All(ix.nodes) }

// Paths returns all paths in tree order.
func (ix *Index) Paths() []string {
	out := make([]string, 0, len(ix.nodes))
	for p := range ix.nodes {
		out = append(out, p)
	}
	slices.SortFunc(out, ComparePaths)
	return out
}

// add records a layer's entry at p: whiteouts at the path that they remove,
// folders above as implicit ones. Later entries win, as in an archive.
func (ix *Index) add(p string, n Node) error {
	dir, base := path.Split(p)
	dir = path.Clean(dir)
	switch target, kind := parseWhiteout(base); kind {
	case whiteoutOpaque:
		ix.addParents(p)
		if dir != "." {
			d := ix.nodes[dir]
			d.Opaque = true
			ix.nodes[dir] = d
			return nil
		}
		ix.nodes["."] = Node{Type: tar.TypeDir, Implicit: true, Opaque: true}
		return nil
	case whiteoutFile:
		ix.addParents(p)
		p = path.Join(dir, target)
		if _, there := ix.nodes[p]; !there { // a sibling entry replaces anyway
			ix.nodes[p] = Node{Type: TypeWhiteout}
		}
		return nil
	case whiteoutBad:
		return archiveErrorf(p, FaultPath, "whiteout of %q", target)
	case whiteoutOther:
		return nil
	}
	ix.addParents(p)
	if n.Type == tar.TypeLink {
		n = ix.linked(n)
	}
	if n.IsDir() {
		n.Opaque = n.Opaque || ix.nodes[p].Opaque
	}
	ix.nodes[p] = n
	return nil
}

// linked returns the node of a hard link: its target's, or an empty file's
// when the target is in a layer below.
func (ix *Index) linked(n Node) Node {
	target, ok := ix.nodes[n.Link]
	switch {
	case ok && target.Type == tar.TypeReg:
		target.Link = n.Link
		return target
	case ok && !target.IsDir() && target.Type != TypeWhiteout:
		return target
	}
	n.Type = tar.TypeReg
	return n
}

func (ix *Index) addParents(p string) {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if n, ok := ix.nodes[dir]; ok && n.IsDir() {
			return
		}
		ix.nodes[dir] = Node{Type: tar.TypeDir, Mode: 0o755, Implicit: true}
	}
}

// node returns the index node of an entry whose content has the given digest.
func (e *Entry) node(digest string) Node {
	n := Node{Type: e.Type, Mode: e.Mode, UID: e.UID, GID: e.GID, Size: e.Size, Digest: digest, Capability: e.capability()}
	if e.Type == tar.TypeSymlink || e.Type == tar.TypeLink {
		n.Link = e.Link
	}
	return n
}
