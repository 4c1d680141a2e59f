package layers

import (
	"path"
)

// Merge returns the index of what is seen when the layer above lies on ix:
// whiteouts and opaque folders applied, as an overlay mount does it. Neither
// argument is changed. Merging onto NewIndex() gives the index of an image's
// first layer.
func (ix *Index) Merge(above *Index) *Index {
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
