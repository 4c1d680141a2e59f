package layers

import (
	"archive/tar"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// randomIndex is a layer of few names, so that they meet those of another.
func randomIndex(r *rand.Rand, whiteouts bool) *Index {
	ix := NewIndex()
	for range r.IntN(12) {
		p := fmt.Sprintf("%c", 'a'+r.IntN(3))
		for range r.IntN(3) {
			p += fmt.Sprintf("/%c", 'a'+r.IntN(3))
		}
		n := Node{Type: tar.TypeReg, Size: r.Int64N(9)}
		switch r.IntN(5) {
		case 0, 1:
			n = Node{Type: tar.TypeDir, Mode: 0o700}
		case 2:
			if whiteouts {
				n = Node{Type: TypeWhiteout}
			}
		case 3:
			n = Node{Type: tar.TypeDir, Opaque: whiteouts && r.IntN(2) == 0}
		}
		if there, ok := ix.nodes[p]; ok && there.IsDir() != n.IsDir() {
			continue
		}
		if dir, ok := ix.nodes[p[:max(0, len(p)-2)]]; ok && !dir.IsDir() {
			continue
		}
		ix.addParents(p)
		ix.nodes[p] = n
	}
	return ix
}

// A merge that looks at the layer's own paths only is the one that looks at all.
func TestMergeOfFewPaths(t *testing.T) {
	few := 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		below, above := NewIndex().Merge(randomIndex(r, false)), randomIndex(r, true)
		want := below.swept(above)
		if got := below.Merge(above); !maps.Equal(got.nodes, want.nodes) {
			t.Fatalf("seed %d: %v on %v: %v, want %v", seed, above.nodes, below.nodes, got.nodes, want.nodes)
		}
		if !above.hidesFolders(below) {
			few++
		}
	}
	if few < 300 {
		t.Errorf("only %d layers hid no folder", few)
	}
}
