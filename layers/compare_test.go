package layers

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// lines writes differences one a line.
func lines(list []Difference) string {
	var out strings.Builder
	for _, d := range list {
		fmt.Fprintf(&out, "%s %s %s\n", d.Change, d.Path, strings.Join(d.What, "+"))
	}
	return out.String()
}

func changedEntry(e Entry, change func(*Entry)) Entry {
	change(&e)
	return e
}

var compareBefore = []Entry{
	folder("etc"), text("etc/a", "one"), text("etc/b", "two"), text("etc/gone", ""), symlink("etc/link", "a"),
	text("etc/mode", "m"), text("etc/owner", "o"), text("etc/type", ""),
}

func compareAfter() []Entry {
	return []Entry{
		folder("etc"), text("etc/a", "six"), text("etc/b", "longer"), symlink("etc/link", "b"),
		changedEntry(text("etc/mode", "m"), func(e *Entry) { e.Mode = 0o4755 }), text("etc/new", ""),
		changedEntry(text("etc/owner", "o"), func(e *Entry) { e.UID = 7 }), folder("etc/type"),
	}
}

func TestCompare(t *testing.T) {
	_, before := build(t, Gzip, compareBefore...)
	_, after := build(t, Gzip, compareAfter()...)
	if same := Compare(before, before); len(same) != 0 {
		t.Fatalf("an index differs from itself: %v", same)
	}
	got := lines(Compare(before, after))
	want := `changed etc/a content
changed etc/b size+content
removed etc/gone 
changed etc/link link
changed etc/mode mode
added etc/new 
changed etc/owner owner
changed etc/type type
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if files, size := before.Weigh(); files != 6 || size != 8 {
		t.Errorf("weighs %d files, %d bytes; want 6 and 8", files, size)
	}
}

// What indexes do not know counts between layers: times, extended attributes
// and the order of entries.
func TestCompareListings(t *testing.T) {
	a := []Entry{folder("etc"), text("etc/a", "one"), text("etc/b", "two")}
	b := []Entry{
		folder("etc"), changedEntry(text("etc/a", "one"), func(e *Entry) { e.ModTime = Epoch().Add(time.Second) }),
		changedEntry(text("etc/b", "two"), func(e *Entry) { e.Xattrs = map[string]string{"user.x": "\x01"} }),
	}
	list := func(entries []Entry) *Listing {
		t.Helper()
		l, _ := build(t, Gzip, entries...)
		out, err := List(context.Background(), l)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := list(a)
	got, reordered := CompareListings(before, list(b))
	if want := "changed etc/a time\nchanged etc/b attributes\n"; lines(got) != want || reordered {
		t.Errorf("got\n%s reordered %v, want\n%s", lines(got), reordered, want)
	}
	other := &Listing{order: []string{"etc", "etc/b", "etc/a"}, states: before.states}
	if got, reordered := CompareListings(before, other); len(got) != 0 || !reordered {
		t.Errorf("another order: %v, reordered %v", got, reordered)
	}
}

func TestReadFiles(t *testing.T) {
	l, _ := build(t, Zstd, folder("etc"), text("etc/a", "one"), text("etc/long", "too long"), text("etc/other", "x"))
	got, err := ReadFiles(context.Background(), l, func(p string) bool { return p != "etc/other" }, 3)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || string(got["etc/a"]) != "one" {
		t.Errorf("read %q, want etc/a alone", got)
	}
}
