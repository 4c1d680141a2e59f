package template

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Any text is a recipe or an *Error with lines; never a panic.
func FuzzLoad(f *testing.F) {
	shop, err := os.ReadFile("../../testdata/shop/kiln.hcl")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(shop), "1.0")
	f.Add(app(`version = var.v`), "${")
	f.Add(lockable, "")
	f.Add(declare("type = map(object({ a = optional(list(string), []) }))"), `{ k = {} }`)
	f.Add("locals {\n a = [for x in [1]: local.a]\n}", "\x00")
	f.Add("image \"a\" {\n for_each = { a = image.a }\n}", "\"")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text, value string) {
		if strings.Contains(text, "%") { // a format's width may ask for gigabytes
			return
		}
		if err := os.WriteFile(filepath.Join(dir, FileName), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := Load(dir, Options{Vars: map[string]string{"v": value}})
		var e *Error
		switch {
		case err == nil && len(r.Images) == 0:
			t.Error("a recipe without images")
		case err == nil:
			checkRecipe(t, r)
		case !errors.As(err, &e) || len(e.Problems) == 0:
			t.Errorf("not an *Error: %v", err)
		default:
			for _, p := range e.Problems {
				if strings.ContainsAny(p.String(), "\n\x00\x1b") || p.Message == "" {
					t.Errorf("a problem is no line: %q", p.String())
				}
			}
		}
	})
}

// checkRecipe holds what every caller relies on.
func checkRecipe(t *testing.T, r *Recipe) {
	seen := map[*Image]bool{}
	for _, im := range r.Images {
		if p := im.Parent(); (p == nil) != (im.From.Kind != FromImage) || (p != nil && !seen[p]) {
			t.Errorf("image %q stands before its parent", im.Name)
		}
		seen[im] = true
		if len(im.Platforms) != 1 || len(im.FullName) > maxName || im.Tier == "" {
			t.Errorf("image %+v is not complete", im)
		}
		for _, step := range im.Steps {
			if c, ok := step.(*Copy); ok && (!strings.HasPrefix(c.Source, r.Dir) || !strings.HasPrefix(c.Target, "/")) {
				t.Errorf("copy %+v leaves the folder", c)
			}
		}
	}
}

// Any text is a lock that survives being written, or an error.
func FuzzParseLock(f *testing.F) {
	f.Add([]byte(sampleLockText))
	f.Add([]byte(`{"schema":"kiln.lock/v1","images":{}}`))
	f.Add([]byte(`{"schema":"kiln.lock/v1","images":{"a":{"inputs":"` + hash256 + `","timestamp":"0001-01-01T00:00:00Z"}}}`))
	f.Add([]byte(`{"schema":"kiln.lock/v1"}{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ParseLock(data)
		if err != nil {
			return
		}
		text, err := l.Encode()
		if err != nil {
			t.Fatalf("read, but cannot be written: %v", err)
		}
		again, err := ParseLock(text)
		if err != nil {
			t.Fatalf("written, but cannot be read: %v\n%s", err, text)
		}
		if twice, err := again.Encode(); err != nil || !bytes.Equal(twice, text) {
			t.Fatalf("not stable: %v\n%s\n%s", err, text, twice)
		}
	})
}
