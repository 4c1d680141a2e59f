package layers

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// randomEntry is of any kind that a layer can hold; a third of a layer's bytes
// is in few files that are larger than a block.
func randomEntry(r *rand.Rand, path string, large int) Entry {
	e := Entry{Path: path, Type: tar.TypeReg, Mode: 0o644, UID: r.IntN(3), ModTime: Epoch()}
	if r.IntN(9) == 0 {
		e.Xattrs = map[string]string{"user.some": fmt.Sprint(r.IntN(3)), "user.other": strings.Repeat("x", r.IntN(900))}
	}
	size := r.IntN(40_000)
	switch r.IntN(40) {
	case 0, 1, 2:
		size = 0
	case 3, 4:
		size = 512 * r.IntN(300)
	case 5:
		size = large + r.IntN(large)
	case 6, 7:
		e.Type, e.Link = tar.TypeSymlink, strings.Repeat("some/", 1+r.IntN(40))+"target"
		return e
	case 8:
		e.Type, e.Devmajor = tar.TypeChar, int64(r.IntN(4))
		return e
	}
	text := bytes.Repeat(fmt.Appendf(nil, "%x\n", sha256.Sum256(fmt.Append(nil, r.IntN(1<<30)))), size/65+1)[:size]
	e.Size = int64(size)
	e.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	if r.IntN(60) > 0 { // else nobody knows it
		e.Digest = fmt.Sprintf("sha256:%x", sha256.Sum256(text))
	}
	return e
}

// randomEdit changes, adds, removes, renames and links some entries of a layer,
// mostly late ones.
func randomEdit(r *rand.Rand, list []Entry, next *int, large int) []Entry {
	list = append([]Entry{}, list...)
	name := func() string {
		*next++
		return fmt.Sprintf("d%02d/%s%05d", r.IntN(20), strings.Repeat("n", r.IntN(3)*60), *next)
	}
	for range r.IntN(4) {
		i := len(list) - 1 - r.IntN(1+r.IntN(len(list)))
		switch e := &list[i]; r.IntN(7) {
		case 0:
			*e = randomEntry(r, e.Path, large)
		case 1:
			list = append(list, randomEntry(r, name(), large))
		case 2:
			list = append(list[:i], list[i+1:]...)
		case 3:
			e.Path = name()
		case 4:
			e.Mode ^= 0o111
		case 5:
			e.ModTime = e.ModTime.AddDate(0, 0, 1)
		case 6:
			list = append(list, Entry{Path: name(), Type: tar.TypeLink, Link: e.Path, ModTime: Epoch()})
		}
	}
	return linked(list)
}

// linked drops the links to what is there no more.
func linked(list []Entry) []Entry {
	types, kept := map[string]byte{}, list[:0]
	for _, e := range list {
		types[e.Path] = e.Type
	}
	for _, e := range list {
		if to, there := types[e.Link]; e.Type != tar.TypeLink || there && to != tar.TypeLink {
			kept = append(kept, e)
		}
	}
	return kept
}

// Whatever is edited between two makings, what is lent of the last layer changes
// nothing of the next.
func TestBuildFromBeginningRandom(t *testing.T) {
	for comp, of := range map[Compression]struct{ rounds, entries, large int }{
		Gzip: {8, 150, 300_000}, Zstd: {3, 600, 1 << 20},
	} {
		seed := rand.Uint64()
		r, lent, list, names := rand.New(rand.NewPCG(seed, 0)), newLentFile(), []Entry{}, 0
		for len(list) < of.entries {
			names++
			list = append(list, randomEntry(r, fmt.Sprintf("d%02d/%05d", r.IntN(20), names), of.large))
		}
		for round := range of.rounds {
			list = randomEdit(r, list, &names, of.large)
			r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			want, wantIndex, err := Build(t.Context(), filepath.Join(t.TempDir(), "l"), comp, list)
			if err != nil {
				t.Fatal(err)
			}
			got, index, err := BuildWith(t.Context(), filepath.Join(t.TempDir(), "l"), comp, list, BuildOptions{Blocks: lent})
			if err != nil {
				t.Fatalf("%s, seed %d, round %d: %v", comp, seed, round, err)
			}
			if !reflect.DeepEqual(got.Meta, want.Meta) || !reflect.DeepEqual(index, wantIndex) || got.Verify() != nil {
				t.Fatalf("%s, seed %d, round %d: %+v, want %+v", comp, seed, round, got.Meta, want.Meta)
			}
			file, err := os.ReadFile(got.Path)
			if err != nil {
				t.Fatal(err)
			}
			lent.next(file)
		}
	}
}
