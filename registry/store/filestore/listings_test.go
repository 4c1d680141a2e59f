package filestore

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestListingsFollow: a folder that is kept in memory shows at once what
// another process adds and removes, however often (FAULTS 2, 10).
func TestListingsFollow(t *testing.T) {
	dir := t.TempDir()
	s, other := mustOpen(t, dir), mustOpen(t, dir)
	tags := filepath.Join(dir, "images", "x", "tags")
	if err := os.MkdirAll(tags, 0o755); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range minListing + 10 {
		name := fmt.Sprintf("t%05d", i)
		if err := os.WriteFile(filepath.Join(tags, name+pointerSuffix), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		want = append(want, "images/x/tags/"+name)
	}
	check := func(what, after string) {
		t.Helper()
		var got []string
		for name, err := range s.Pointers().Names(t.Context(), "images/x/tags/", after) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, name)
		}
		rest := slices.Clone(want)
		rest = slices.DeleteFunc(rest, func(name string) bool { return name <= after })
		if !slices.Equal(got, rest) {
			t.Errorf("%s: %d names, want %d", what, len(got), len(rest))
		}
	}
	time.Sleep(2 * settled)
	check("first", "")
	if s.listings.size == 0 {
		t.Fatal("a large folder is not kept")
	}
	check("kept", "")
	check("a page", want[500])
	for i := range 20 {
		name := fmt.Sprintf("t%05d-more", 50*i)
		if err := os.WriteFile(filepath.Join(tags, name+pointerSuffix), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		want = append(want, "images/x/tags/"+name)
		slices.Sort(want)
		check("added", "")
		gone := want[30*i]
		ptr := strings.TrimPrefix(gone, "images/x/tags/") + pointerSuffix
		if err := os.Remove(filepath.Join(tags, ptr)); err != nil {
			t.Fatal(err)
		}
		want = slices.DeleteFunc(want, func(name string) bool { return name == gone })
		check("removed", "")
		if i%5 == 0 {
			time.Sleep(2 * settled)
			check("rested", "")
		}
	}
	if _, err := other.Pointers().Load(t.Context(), want[0]); err == nil {
		t.Error("a pointer without content loads")
	}
}
