package template

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree writes files, by slash-separated name, into a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// load loads a template that must be good.
func load(t *testing.T, text string, opts Options) *Recipe {
	t.Helper()
	r, err := Load(tree(t, map[string]string{FileName: text, "app/main.js": "1", "app/lib.js": "2"}), opts)
	if err != nil {
		t.Fatalf("load:\n%v", err)
	}
	return r
}

// refuse loads a template that must be bad, and compares the whole error.
func refuse(t *testing.T, text string, opts Options, want string) {
	t.Helper()
	_, err := Load(tree(t, map[string]string{FileName: text, "app/main.js": "1", "app/lib.js": "2"}), opts)
	if err == nil {
		t.Fatalf("was loaded, want: %s", want)
	}
	if got := err.Error(); got != strings.TrimSpace(want) {
		t.Errorf("got:  %s\nwant: %s", got, strings.TrimSpace(want))
	}
}

// app is a good image to put a line into.
func app(line string) string {
	return "project = \"acme\"\nimage \"base\" {\n  debian { suite = \"bookworm\" }\n}\nimage \"shop\" {\n  from = image.base\n" + line + "\n}\n"
}
