package bake

import (
	"archive/tar"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kiln/bake/template"
	"kiln/layers"
)

// ground is an image's tree with links, for placing files on it.
func ground(t *testing.T) *layers.Index {
	t.Helper()
	var b strings.Builder
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Name: "usr/bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "bin", Typeflag: tar.TypeSymlink, Linkname: "usr/bin"},
		{Name: "root/", Typeflag: tar.TypeDir, Mode: 0o700},
		{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
		{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "etc/file", Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: "etc/link", Typeflag: tar.TypeSymlink, Linkname: "file"},
		{Name: "loop", Typeflag: tar.TypeSymlink, Linkname: "loop"},
	} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	ix, err := layers.IndexTar(context.Background(), strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

func folder(name string, items ...item) dockerSource {
	return dockerSource{Name: name, Items: append([]item{{Target: ".", Kind: tar.TypeDir, Mode: 0o755}}, items...)}
}

func file(name string) dockerSource {
	return dockerSource{Name: name, Items: []item{{Target: ".", Kind: tar.TypeReg}}}
}

// Places as docs.docker.com/reference/dockerfile and BuildKit have them.
func TestDockerPlaces(t *testing.T) {
	inner := []item{{Target: "a", Kind: tar.TypeDir, Mode: 0o755}, {Target: "a/b", Kind: tar.TypeReg}}
	for _, c := range []struct {
		dest    string
		sources []dockerSource
		want    string // paths, or the error
	}{
		{"/new", []dockerSource{file("x")}, "new"},
		{"/new/", []dockerSource{file("x")}, "new new/x"},
		{"/etc", []dockerSource{file("x")}, "etc/x"},
		{"/bin/", []dockerSource{file("x")}, "usr/bin/x"},
		{"/etc/link", []dockerSource{file("x")}, "etc/file"},
		{"/", []dockerSource{file("x")}, "x"},
		{"/new", []dockerSource{folder("x", inner...)}, "new new/a new/a/b"},
		{"/etc", []dockerSource{folder("x", inner...)}, "etc/a etc/a/b"},
		{"/", []dockerSource{folder("x", item{Target: "bin", Kind: tar.TypeDir, Mode: 0o755}, item{Target: "bin/t", Kind: tar.TypeReg})}, "usr/bin/t"},
		{"/etc/", []dockerSource{folder("x", item{Target: "link", Kind: tar.TypeReg})}, "etc/link"},
		{"/root/.x", []dockerSource{file("x")}, "root/.x root"},
		{"/tmp/d/", []dockerSource{file("x"), file("y")}, "tmp/d tmp/d/x tmp/d/y tmp"},
		{"/etc/file", []dockerSource{folder("x", inner...)}, "/etc/file is no folder"},
		{"/etc/file/", []dockerSource{file("x")}, "/etc/file is no folder"},
		{"/", []dockerSource{folder("x", item{Target: "etc", Kind: tar.TypeReg})}, "/etc is a folder in the image, and a file goes there"},
		{"/loop", []dockerSource{file("x")}, "too many symlinks"},
	} {
		p := &dockerPlacer{below: ground(t), at: map[string]int{}, kinds: map[string]byte{}}
		var err error
		for i, s := range c.sources {
			if err == nil {
				err = p.source(c.dest, i, s)
			}
		}
		p.keepFolders()
		var got []string
		for _, e := range p.list {
			got = append(got, e.Path)
		}
		text := strings.Join(got, " ")
		if err != nil {
			text = err.Error()
		}
		if err == nil && text != c.want || err != nil && !strings.Contains(text, c.want) {
			t.Errorf("%s: got %s, want %s", c.dest, text, c.want)
		}
	}
}

// Links of the context are followed to what is copied, never out of it.
func TestContextTree(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"real/f": "1", "real/-dash": "2", "!first": "3", "skipped/x": "4", "skipped/keep": "5"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, link := range map[string]string{"to-dir": "real", "out": "../../etc/passwd", "abs": "/real/f", "loop": "loop"} {
		if err := os.Symlink(link, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"kiln.hcl":      "project = \"p\"\nimage \"x\" {\n  dockerfile {}\n}\n",
		"Dockerfile":    "FROM scratch\nCOPY . /\n",
		".dockerignore": "skipped\n!skipped/keep\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	recipe, err := template.Load(dir, template.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files, err := recipe.Images[0].Dockerfile().Files()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := OpenCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tree := newContextTree(files, cache.statSums(dir))
	for _, c := range []struct{ rel, want string }{
		{".", ". !first .dockerignore Dockerfile abs loop out real real/-dash real/f skipped skipped/keep to-dir"},
		{"to-dir", ". -dash f"}, {"to-dir/f", "."}, {"abs", "."},
		{"out", "file does not exist"}, {"loop", "too many symlinks"}, {"skipped/x", "file does not exist"},
	} {
		items, err := tree.under(context.Background(), c.rel)
		var names []string
		for _, it := range items {
			names = append(names, it.Target)
			if it.Kind == tar.TypeReg && it.Mode != 0o644 {
				t.Errorf("%s has mode %o", it.Target, it.Mode)
			}
		}
		text := strings.Join(names, " ")
		if err != nil {
			text = err.Error()
		}
		if err == nil && text != c.want || err != nil && !strings.Contains(text, c.want) {
			t.Errorf("%s: got %s, want %s", c.rel, text, c.want)
		}
	}
	reads, err := recipe.ReadFiles()
	if err != nil || !slices.Contains(reads, ".dockerignore") || !slices.Contains(reads, "real/f") || slices.Contains(reads, "skipped/x") {
		t.Errorf("reads %q, %v", reads, err)
	}
}
