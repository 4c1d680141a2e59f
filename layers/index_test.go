package layers

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"
)

func indexOf(t testing.TB, entries ...Entry) *Index {
	t.Helper()
	_, ix := build(t, Gzip, entries...)
	return ix
}

func TestResolve(t *testing.T) {
	ix := indexOf(t, folder("usr"), folder("usr/bin"), text("usr/bin/sh", "x"), symlink("bin", "usr/bin"),
		symlink("abs", "/usr/bin"), symlink("up", "../.."), symlink("usr/back", "../bin"),
		symlink("l1", "l2"), symlink("l2", "l1"), text("file", "x"), symlink("usr/bin/bash", "sh"))
	for _, test := range []struct {
		path, want string
		err        error
	}{
		{"usr/bin/sh", "usr/bin/sh", nil},
		{"bin/sh", "usr/bin/sh", nil},
		{"/bin/sh", "usr/bin/sh", nil},
		{"abs/sh", "usr/bin/sh", nil},
		{"usr/back/sh", "usr/bin/sh", nil},
		{"bin", "bin", nil},
		{"bin/bash", "usr/bin/bash", nil},
		{"bin/../bin", "usr/bin", nil},
		{"/", ".", nil},
		{"bin/none", "usr/bin/none", fs.ErrNotExist},
		{"new/folder/x", "new/folder/x", fs.ErrNotExist},
		{"up/x", "", ErrEscape},
		{"../x", "", ErrEscape},
		{"l1/x", "", ErrLoop},
		{"file/x", "", ErrNotADir},
	} {
		got, _, err := ix.Resolve(test.path)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: %q, %v; want %q, %v", test.path, got, err, test.want, test.err)
		}
	}
	if n, ok := ix.Lookup("bin/bash"); !ok || n.Type != tar.TypeReg || !strings.HasPrefix(n.Digest, "sha256:") {
		t.Errorf("lookup through two symlinks: %+v", n)
	}
	if _, ok := ix.Lookup("l1"); ok {
		t.Error("a loop was found to be something")
	}
}

func TestPlace(t *testing.T) {
	ix := indexOf(t, folder("usr"), folder("usr/bin"), folder("usr/lib64"), symlink("bin", "usr/bin"), symlink("lib64", "/usr/lib64"),
		symlink("opt", "usr/opt"), symlink("lib", "elsewhere/lib"), text("file", "x"), symlink("etc/alt", "x"))
	for _, test := range []struct {
		path string
		typ  byte
		want string
		err  string
	}{
		{"usr/bin/x", tar.TypeReg, "usr/bin/x", ""},
		{"bin/x", tar.TypeReg, "usr/bin/x", ""},
		{"lib64/sub/x", tar.TypeReg, "usr/lib64/sub/x", ""},
		{"srv/new/x", tar.TypeReg, "srv/new/x", ""},
		{"file", tar.TypeReg, "file", ""},
		{"usr/bin", tar.TypeDir, "usr/bin", ""},
		{"bin", tar.TypeDir, "", "symlink"},
		{"opt/x", tar.TypeReg, "", "symlink"},
		{"lib/x", tar.TypeReg, "", "symlink"},
		{"etc/alt", tar.TypeReg, "", "types differ"},
		{"file/x", tar.TypeReg, "", "no folder"},
		{"file", tar.TypeDir, "", "types differ"},
		{"usr/bin", tar.TypeReg, "", "types differ"},
		{"../x", tar.TypeReg, "", "not clean"},
	} {
		got, err := ix.Place(test.path, test.typ)
		if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %q, %v; want %q, %q", test.path, got, err, test.want, test.err)
		}
	}
}

func TestMerge(t *testing.T) {
	private := folder("keep")
	private.Mode = 0o700
	lower := indexOf(t, private, text("keep/a", "a"), text("gone/x/y", "y"), text("opq/old", "o"), text("tofile/x", "x"),
		text("todir", "x"), symlink("bin", "usr/bin"))
	upper := indexOf(t, text("keep/b", "b"), Entry{Path: ".wh.gone", Type: tar.TypeReg}, Entry{Path: ".wh.never", Type: tar.TypeReg},
		Entry{Path: "opq/.wh..wh..opq", Type: tar.TypeReg}, text("opq/new", "n"), text("tofile", "f"), text("todir/x", "x"))
	merged := NewIndex().Merge(lower).Merge(upper)
	want := "bin keep keep/a keep/b opq opq/new todir todir/x tofile"
	if got := strings.Join(merged.Paths(), " "); got != want {
		t.Errorf("merged %s, want %s", got, want)
	}
	if n, _ := merged.Node("keep"); n.Mode != 0o700 || n.Implicit {
		t.Errorf("an implied folder changed the one below: %+v", n)
	}
	if n, _ := merged.Node("todir"); !n.IsDir() {
		t.Errorf("todir is %+v", n)
	}
	whole := indexOf(t, Entry{Path: ".wh..wh..opq", Type: tar.TypeReg}, text("only", "x"))
	if got := strings.Join(merged.Merge(whole).Paths(), " "); got != "only" {
		t.Errorf("an opaque root leaves %s", got)
	}
}

func TestIndexJSON(t *testing.T) {
	ix := indexOf(t, goldenEntries()...)
	raw, err := json.Marshal(ix)
	must(t, err)
	var back Index
	must(t, json.Unmarshal(raw, &back))
	var a, b bytes.Buffer
	ix.WriteTo(&a)
	back.WriteTo(&b)
	if a.String() != b.String() {
		t.Error("the index does not survive JSON")
	}
	for _, bad := range []string{
		"", "{}\n", indexFormat + "\n{}\n", indexFormat + "\n{\"p\":\"../x\",\"t\":48}\n", indexFormat + "\n{\"p\":\"/x\",\"t\":48}\n",
		indexFormat + "\n{\"p\":\"x\",\"t\":48}\n{\"p\":\"x\",\"t\":48}\n", indexFormat + "\n{\"p\":\"x\",\"t\":1}\n",
		indexFormat + "\n{\"p\":\".wh.x\",\"t\":48}\n", indexFormat + "\n{\"p\":\"x\",\"t\":48,\"z\":1}\n", indexFormat + "\nnoise\n",
	} {
		if _, err := ReadIndex(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
