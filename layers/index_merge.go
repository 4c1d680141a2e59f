package layers

import (
	"maps"
	"path"
)

// Merge returns the index of what is seen when the layer above lies on ix:
// whiteouts and opaque folders applied, as an overlay mount does it. Neither
// argument is changed. Merging onto NewIndex() gives the index of an image's
// first layer.
func (ix *Index) Merge(above *Index) *Index {
	if !above.hidesFolders(ix) {
		return ix.overlaid(above)
	}
	return ix.swept(above)
}

// swept is Merge for any layer: it looks at every path of what lies below.
func (ix *Index) swept(above *Index) *Index {
	out := &Index{nodes: make(map[string]Node, len(ix.nodes)+len(above.nodes))}
	for p, n := range ix.nodes {
		if p != "." && !above.hides(p) {
			out.nodes[p] = n
		}
	}
	for p, n := range above.nodes {
		if n.Type == TypeWhiteout || p == "." {
			continue
		}
		n.Opaque = false
		if n.Implicit {
			if below, ok := out.nodes[p]; ok && below.IsDir() {
				continue
			}
		}
		out.nodes[p] = n
	}
	return out
}

// hidesFolders reports whether a layer replaces or removes a folder of what
// lies below, and with it what that holds. Most layers do not.
func (ix *Index) hidesFolders(below *Index) bool {
	for p, n := range ix.nodes {
		if n.IsDir() && !n.Opaque {
			continue
		}
		if there, ok := below.nodes[p]; p == "." || ok && there.IsDir() {
			return true
		}
	}
	return false
}

// overlaid is Merge for a layer that hides no folder: each of its nodes counts
// for its own path only.
func (ix *Index) overlaid(above *Index) *Index {
	out := &Index{nodes: maps.Clone(ix.nodes)}
	delete(out.nodes, ".")
	for p, n := range above.nodes {
		below, there := out.nodes[p]
		switch {
		case p == ".":
		case n.Type == TypeWhiteout:
			delete(out.nodes, p)
		case n.Implicit && there && below.IsDir():
		default:
			n.Opaque = false
			out.nodes[p] = n
		}
	}
	return out
}

// Hides reports whether the layer whose index this is replaces or removes what
// lies below at p.
func (ix *Index) Hides(p string) bool { return ix.hides(p) }

// hides reports whether the layer replaces or removes p of what lies below.
// An implicit folder does not replace a folder, as it says nothing of it.
func (ix *Index) hides(p string) bool {
	if n, ok := ix.nodes[p]; ok && !n.Implicit {
		return true
	}
	for dir := path.Dir(p); ; dir = path.Dir(dir) {
		if n, ok := ix.nodes[dir]; ok && (n.Opaque || !n.IsDir()) {
			return true
		}
		if dir == "." {
			return false
		}
	}
}
