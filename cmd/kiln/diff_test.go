package main

import (
	"fmt"
	"testing"

	"kiln/bake"
	"kiln/layers"
)

func TestComparePackages(t *testing.T) {
	before := []bake.Component{{Name: "a", Version: "1", Arch: "amd64"}, {Name: "b", Version: "1", Arch: "amd64"}, {Name: "c", Version: "1", Arch: "all"}}
	after := []bake.Component{{Name: "a", Version: "1", Arch: "amd64"}, {Name: "a", Version: "1", Arch: "i386"}, {Name: "b", Version: "2", Arch: "amd64"}}
	got := fmt.Sprint(comparePackages(before, after))
	if want := "{[{a i386  1}] [{c all 1 }] [{b amd64 1 2}]}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFoldersOf(t *testing.T) {
	var list []layers.Difference
	add := func(n int, change layers.Change, pattern string) {
		for i := range n {
			list = append(list, layers.Difference{Path: fmt.Sprintf(pattern, i), Change: change})
		}
	}
	add(3, layers.Added, "etc/%d")
	add(30, layers.Changed, "usr/share/doc/p%d/copyright")
	add(2, layers.Removed, "usr/lib/x/%d")
	add(1, layers.Removed, "top%d")
	want := "[{/etc 3 0 0} {/usr/share/doc 0 0 30} {/usr/lib/x 0 2 0} {/ 0 1 0}]"
	if got := fmt.Sprint(foldersOf(list, 25)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := foldersOf(nil, 25); got == nil || len(got) != 0 {
		t.Errorf("of nothing %v", got)
	}
}

// What an image says is never told to a terminal as it is.
func TestShown(t *testing.T) {
	for in, want := range map[string]string{"plain text": "plain text", "a\x1b[2Jb": `"a\x1b[2Jb"`, "ä": "ä", "a\nb": `"a\nb"`} {
		if got := shown(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

func TestBegins(t *testing.T) {
	const d = "sha256:0123456789abcdef"
	for prefix, want := range map[string]bool{"012345": true, "sha256:012345": true, "0123": false, "sha256:0": false, "": false, "abcdef": false} {
		if begins(d, prefix) != want {
			t.Errorf("%s begins with %q: want %v", d, prefix, want)
		}
	}
}
