package bake

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"kiln/bake/template"
)

// notingScanner notes the names that it is asked about.
type notingScanner struct {
	markScanner
	mu    sync.Mutex
	names []string
}

func (s *notingScanner) Find(name string, text []byte) ([]Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = append(s.names, name)
	return s.markScanner.Find(name, text)
}

// What is found in files by themselves, with what is remembered of them, is
// what is found in the layer; only what changed is looked into. FAULTS 30.
func TestScanFiles(t *testing.T) {
	root := t.TempDir()
	write := func(name, content string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(root, "app", name)
		if err := makeDirs(filepath.Dir(path)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("words without end\n", 100_000)
	write("text", "words\n", 0o644)
	write("b/secret", "x\nSECRET GUESS\n", 0o644)
	write("b.p12", "\x00", 0o644)
	write("a.bin", "\x00\x01", 0o755)
	write("b/other.bin", "\x00\x02", 0o644)
	write("long", long+"SECRET", 0o666)
	write("jar.jar", packedZip(t, "in/b", "SECRET"), 0o644)
	write("x.xz", "\xfd7zXZ\x00", 0o644)
	write("wide", wideOf("SECRET"), 0o644)
	cache, err := OpenCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	text := "project = \"acme\"\nimage \"app\" {\n  copy {\n    source = \"app\"\n    target = \"/srv\"\n  }\n}\n"
	if err := os.WriteFile(filepath.Join(root, template.FileName), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file, content string
		looked              []string // "" for all
	}{
		{"all", "", "", nil},
		{"a text", "text", "other words\n", []string{"/srv/text"}},
		{"a secret more", "text", "SECRET\n", []string{"/srv/text"}},
		{"a secret less", "b/secret", "words\n", []string{"/srv/b/secret"}},
		{"a name", "b/new.p12", "\x00\x02", []string{"/srv/b/new.p12"}},
		{"a copy elsewhere", "c", "words\n", []string{"/srv/c"}},
		{"a chunk of many", "long", long + "no more", []string{"/srv/long", "/srv/long"}},
		{"dpkg's sums", "var/lib/dpkg/info/a.md5sums", "", []string{"/srv/var/lib/dpkg/info/a.md5sums"}},
	} {
		if c.file != "" {
			write(c.file, c.content, 0o644)
		}
		scanner := &notingScanner{}
		b := builder(t, BuilderOptions{Cache: cache, Scanner: scanner})
		recipe, err := template.Load(root, template.Options{})
		if err != nil {
			t.Fatal(err)
		}
		img, err := b.Build(t.Context(), recipe.Images[0])
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.scanFiles(t.Context(), img, img.Steps[0].layer)
		if err != nil || got == nil {
			t.Fatalf("%s: %v, %v", c.name, got, err)
		}
		if slices.Sort(scanner.names); c.looked != nil && !slices.Equal(scanner.names, c.looked) {
			t.Errorf("%s: looked into %q, want %q", c.name, scanner.names, c.looked)
		}
		want, err := b.scanWhole(t.Context(), img.Steps[0].layer)
		if err != nil {
			t.Fatal(err)
		}
		one, _ := json.Marshal(got)
		if two, _ := json.Marshal(want); !bytes.Equal(one, two) {
			t.Errorf("%s: files by themselves\n%s, in the layer\n%s", c.name, one, two)
		}
	}
}

// A source that changed after it went into the layer is looked into there.
func TestScanFilesOfALayer(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "app")
	recipe := &template.Image{Name: "app", FullName: "acme/app", Platforms: []string{"linux/amd64"}, Steps: []template.Step{
		&template.Copy{Root: root, Rel: "app", Target: "/srv/app"},
	}}
	b := builder(t, BuilderOptions{Scanner: markScanner{}})
	if err := os.WriteFile(file, []byte("SECRET\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	img, err := b.Build(t.Context(), recipe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("public\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	found, err := b.scanLayer(t.Context(), img, img.Steps[0].layer)
	if err != nil || len(found.Found) != 1 {
		t.Errorf("found %+v, %v", found, err)
	}
}
