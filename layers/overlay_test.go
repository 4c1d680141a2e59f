package layers

import (
	"archive/tar"
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// overlay mounts an overlay with the lowers (bottom first) and gives its upper
// folder and where it is mounted.
type overlay struct {
	upper, merged string
}

func mountOverlay(t tb, dir string, lowers []string) *overlay {
	t.Helper()
	o := &overlay{upper: filepath.Join(dir, "upper"), merged: filepath.Join(dir, "merged")}
	for _, d := range []string{o.upper, o.merged, filepath.Join(dir, "work")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var top []string
	for i := len(lowers) - 1; i >= 0; i-- {
		top = append(top, lowers[i])
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=off,metacopy=off,index=off",
		strings.Join(top, ":"), o.upper, filepath.Join(dir, "work"))
	if err := unix.Mount("overlay", o.merged, "overlay", 0, options); err != nil {
		t.Fatalf("mount overlay: %v", err)
	}
	return o
}

func (o *overlay) unmount(t tb) {
	t.Helper()
	if err := unix.Unmount(o.merged, 0); err != nil {
		t.Fatalf("unmount: %v", err)
	}
}

// change runs operations in the merged folder of an overlay over the lowers
// and returns what they left in the upper one, and how the merged one looked.
func change(t tb, dir string, lowers []string, ops func(root string)) (upper, merged string) {
	t.Helper()
	o := mountOverlay(t, dir, lowers)
	defer o.unmount(t)
	ops(o.merged)
	return o.upper, flatView(t, o.merged)
}

// flatView describes a tree with hard links as the files they are.
func flatView(t tb, root string) string {
	t.Helper()
	entries, err := Tree(root, TreeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]Entry{}
	for i, e := range entries {
		if e.Type == tar.TypeLink {
			p := e.Path
			entries[i] = at[e.Link]
			entries[i].Path = p
		}
		at[e.Path] = entries[i]
	}
	return describeEntries(t, entries)
}

// base makes a lower folder by hand.
func base(t testing.TB, ops func(root string)) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ops(dir)
	return dir
}

func must(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t tb, root, p, content string) {
	t.Helper()
	p = filepath.Join(root, p)
	must(t, os.MkdirAll(filepath.Dir(p), 0o755))
	must(t, os.WriteFile(p, []byte(content), 0o644))
}

func names(entries []Entry) string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Path)
	}
	return strings.Join(out, " ")
}

func TestDiff(t *testing.T) {
	lower := base(t, func(root string) {
		write(t, root, "etc/passwd", "root")
		write(t, root, "etc/group", "root")
		write(t, root, "dir/a", "a")
		write(t, root, "dir/b", "b")
		write(t, root, "dir/sub/c", "c")
		must(t, os.Symlink("a", filepath.Join(root, "dir/link")))
	})
	for _, test := range []struct {
		name string
		ops  func(root string)
		want string
	}{
		{"nothing", func(string) {}, ""},
		{"rewritten the same", func(r string) { write(t, r, "etc/passwd", "root") }, ""},
		{"only the time", func(r string) { must(t, os.Chtimes(filepath.Join(r, "etc/passwd"), Epoch(), Epoch())) }, ""},
		{"created and removed", func(r string) {
			write(t, r, "etc/new", "x")
			must(t, os.Remove(filepath.Join(r, "etc/new")))
		}, ""},
		{"content, no folder entry", func(r string) { write(t, r, "etc/passwd", "toor") }, "etc/passwd"},
		{"mode", func(r string) { must(t, os.Chmod(filepath.Join(r, "etc/passwd"), 0o600)) }, "etc/passwd"},
		{"owner", func(r string) { must(t, os.Lchown(filepath.Join(r, "dir/link"), 5, 6)) }, "dir/link"},
		{"xattr", func(r string) {
			must(t, unix.Setxattr(filepath.Join(r, "dir/a"), "security.capability", []byte(capability), 0))
		}, "dir/a"},
		{"folder's mode", func(r string) { must(t, os.Chmod(filepath.Join(r, "dir"), 0o700)) }, "dir"},
		{"new folder", func(r string) { write(t, r, "new/x/y", "y") }, "new new/x new/x/y"},
		{"removed", func(r string) { must(t, os.Remove(filepath.Join(r, "dir/a"))) }, "dir/.wh.a"},
		{"removed folder", func(r string) { must(t, os.RemoveAll(filepath.Join(r, "dir"))) }, ".wh.dir"},
		{"folder made anew, the same", func(r string) {
			must(t, os.RemoveAll(filepath.Join(r, "dir")))
			write(t, r, "dir/a", "a")
			write(t, r, "dir/b", "b")
			write(t, r, "dir/sub/c", "c")
			must(t, os.Symlink("a", filepath.Join(r, "dir/link")))
		}, ""},
		{"folder made anew with less", func(r string) {
			must(t, os.RemoveAll(filepath.Join(r, "dir")))
			write(t, r, "dir/a", "a")
			must(t, os.Mkdir(filepath.Join(r, "dir/sub"), 0o755))
		}, "dir/.wh.b dir/.wh.link dir/sub/.wh.c"},
		{"folder made anew with all else", func(r string) {
			must(t, os.RemoveAll(filepath.Join(r, "dir")))
			write(t, r, "dir/z", "z")
		}, "dir/.wh..wh..opq dir/z"},
		{"file for folder", func(r string) {
			must(t, os.RemoveAll(filepath.Join(r, "dir")))
			write(t, r, "dir", "file")
		}, "dir"},
		{"folder for file", func(r string) {
			must(t, os.Remove(filepath.Join(r, "etc/group")))
			write(t, r, "etc/group/x", "x")
		}, "etc/group etc/group/x"},
	} {
		upper, _ := change(t, t.TempDir(), []string{lower}, test.ops)
		entries, err := Diff(upper, []string{lower}, TreeOptions{})
		if err != nil || names(entries) != test.want {
			t.Errorf("%s: %q, %v; want %q", test.name, names(entries), err, test.want)
		}
	}
}

func TestDiffAcrossLowers(t *testing.T) {
	// middle removes dir/a and replaces opq; both look as overlayfs leaves them.
	bottom := base(t, func(r string) {
		write(t, r, "dir/a", "a")
		write(t, r, "opq/old", "old")
		write(t, r, "anew/a", "a")
		write(t, r, "anew/b", "b")
		write(t, r, "anew/c", "c")
	})
	middle, _ := change(t, t.TempDir(), []string{bottom}, func(r string) {
		must(t, os.Remove(filepath.Join(r, "dir/a")))
		must(t, os.RemoveAll(filepath.Join(r, "opq")))
		must(t, os.Mkdir(filepath.Join(r, "opq"), 0o755))
		must(t, os.Remove(filepath.Join(r, "anew/a")))
	})
	upper := base(t, func(r string) {
		write(t, r, "dir/a", "a")     // not identical: middle removed it
		write(t, r, "opq/old", "old") // hidden by middle
		must(t, unix.Mknod(filepath.Join(r, "nothing"), unix.S_IFCHR, 0))
		must(t, os.Mkdir(filepath.Join(r, "opq/x"), 0o755))
		write(t, r, "anew/c", "c") // opaque: b is gone, a was before
		must(t, unix.Setxattr(filepath.Join(r, "anew"), "user.overlay.opaque", []byte("y"), 0))
	})
	entries, err := Diff(upper, []string{bottom, middle}, TreeOptions{})
	if err != nil || names(entries) != "anew/.wh.b dir/a opq/old opq/x" {
		t.Errorf("%q, %v", names(entries), err)
	}
}

func TestDiffRefuses(t *testing.T) {
	lower := base(t, func(r string) { write(t, r, "dir/a", "a") })
	for name, ops := range map[string]func(string){
		"redirect": func(r string) {
			must(t, os.Mkdir(filepath.Join(r, "dir"), 0o755))
			must(t, unix.Setxattr(filepath.Join(r, "dir"), "trusted.overlay.redirect", []byte("/other"), 0))
		},
		"metacopy": func(r string) {
			write(t, r, "x", "")
			must(t, unix.Setxattr(filepath.Join(r, "x"), "user.overlay.metacopy", nil, 0))
		},
		"whiteouts": func(r string) { write(t, r, ".wh.x", "") },
		"not UTF-8": func(r string) { write(t, r, "caf\xe9", "") },
	} {
		_, err := Diff(base(t, ops), []string{lower}, TreeOptions{})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// stack is a chain of layers in every form.
type stack struct {
	t      tb
	dir    string
	lowers []string // overlay form, bottom first
	flat   string
	index  *Index
}

func newStack(t tb, dir string) *stack {
	s := &stack{t: t, dir: dir, flat: filepath.Join(dir, "flat"), index: NewIndex()}
	must(t, os.Mkdir(s.flat, 0o755))
	empty := filepath.Join(dir, "lower-empty")
	must(t, os.Mkdir(empty, 0o755))
	s.lowers = []string{empty}
	return s
}

// push makes one more layer by operations in a real overlay mount and checks
// that each form of the chain looks like the mount did.
func (s *stack) push(n int, ops func(root string)) {
	t := s.t
	work := filepath.Join(s.dir, fmt.Sprint("work", n))
	must(t, os.Mkdir(work, 0o755))
	upper, want := change(t, work, s.lowers, ops)
	entries, err := Diff(upper, s.lowers, TreeOptions{})
	must(t, err)
	file := filepath.Join(s.dir, fmt.Sprint("layer", n))
	layer, ix, err := Build(context.Background(), file, Zstd, entries)
	must(t, err)

	lower := filepath.Join(s.dir, fmt.Sprint("lower", n))
	must(t, os.Mkdir(lower, 0o755))
	extract(t, layer, lower, ExtractOptions{Overlay: true, Lowers: s.lowers})
	s.lowers = append(s.lowers, lower)
	view := filepath.Join(s.dir, fmt.Sprint("view", n))
	must(t, os.Mkdir(view, 0o755))
	_, got := change(t, view, s.lowers, func(string) {})
	if got != want {
		t.Fatalf("layer %d of %s\nmounted\n%swas\n%s", n, names(entries), got, want)
	}

	extract(t, layer, s.flat, ExtractOptions{})
	if got := flatView(t, s.flat); got != want {
		t.Fatalf("layer %d of %s\nflat\n%swas\n%s", n, names(entries), got, want)
	}

	s.index = s.index.Merge(ix)
	full, err := Tree(s.flat, TreeOptions{})
	must(t, err)
	_, whole, err := Build(context.Background(), file+".whole", Zstd, full)
	must(t, err)
	if a, b := indexText(s.index), indexText(whole); a != b {
		t.Fatalf("layer %d of %s\nmerged index\n%sindex of the tree\n%s", n, names(entries), a, b)
	}
	// Nothing is left to say.
	if again, err := Diff(upper, s.lowers, TreeOptions{}); err != nil || names(again) != "" {
		t.Fatalf("layer %d differs from itself: %s, %v", n, names(again), err)
	}
}

// indexText is the index without how hard links came about.
func indexText(ix *Index) string {
	out := NewIndex()
	for p, n := range ix.nodes {
		if n.Type != tar.TypeSymlink {
			n.Link = ""
		}
		out.nodes[p] = n
	}
	var b bytes.Buffer
	out.WriteTo(&b)
	return b.String()
}

// TestRoundTrip: whatever is done to a mounted image, the layers made of it
// give the same image, as overlay lowers, unpacked flat, and as an index.
func TestRoundTrip(t *testing.T) {
	// A case is up to nine mounts: 40 by default, more with -rapid.checks.
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		must(t, checks.Value.Set("40"))
	}
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "case")
		must(rt, err)
		s := newStack(rt, dir)
		for n := range rapid.IntRange(1, 3).Draw(rt, "layers") {
			s.push(n, func(root string) {
				for range rapid.IntRange(1, 12).Draw(rt, "ops") {
					randomChange(rt, root)
				}
			})
		}
	})
}

// randomChange does one thing to a tree; what does not apply is left undone.
func randomChange(rt *rapid.T, root string) {
	name := rapid.SampledFrom([]string{"a", "b", "c", "a-b"})
	draw := func(label string) string {
		p := root
		for range rapid.IntRange(1, 3).Draw(rt, label+" depth") {
			p = filepath.Join(p, name.Draw(rt, label))
		}
		return p
	}
	p := draw("path")
	switch rapid.IntRange(0, 9).Draw(rt, "what") {
	case 0, 1:
		os.WriteFile(p, []byte(rapid.SampledFrom([]string{"", "x", "y"}).Draw(rt, "content")), 0o644)
	case 2, 3:
		os.MkdirAll(p, 0o755)
	case 4:
		os.Symlink(rapid.SampledFrom([]string{"a", "../b", "/c"}).Draw(rt, "link"), p)
	case 5:
		os.Link(draw("target"), p)
	case 6:
		os.RemoveAll(p)
	case 7:
		if info, err := os.Lstat(p); err == nil && info.Mode()&os.ModeSymlink == 0 {
			unix.Chmod(p, rapid.SampledFrom([]uint32{0o755, 0o4755, 0o1777}).Draw(rt, "mode"))
		}
		os.Lchown(p, rapid.IntRange(0, 1).Draw(rt, "owner"), 0)
	case 8:
		unix.Lsetxattr(p, "user.note", []byte(name.Draw(rt, "value")), 0)
	case 9:
		os.Rename(draw("from"), p)
	}
}
