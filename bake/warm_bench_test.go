package bake

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiln/bake/template"
)

// BenchmarkWarm finds an image of 1,000 files as it was: what the engine adds
// to a bake that has nothing to do.
func BenchmarkWarm(b *testing.B) { benchmarkBake(b, func(string, int) {}) }

// BenchmarkOneChanged makes the layer of 1,000 files again, one of which changed.
func BenchmarkOneChanged(b *testing.B) {
	benchmarkBake(b, func(dir string, n int) {
		if err := os.WriteFile(filepath.Join(dir, "app", "m3", "f160.js"), fmt.Append(nil, n), 0o644); err != nil {
			b.Fatal(err)
		}
	})
}

func benchmarkBake(b *testing.B, change func(dir string, n int)) {
	dir := b.TempDir()
	for i := range 1000 {
		path := filepath.Join(dir, "app", fmt.Sprintf("m%d", i/50), fmt.Sprintf("f%d.js", i))
		if err := makeDirs(filepath.Dir(path)); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Repeat(fmt.Sprintf("console.log(%d)\n", i), 200)), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	text := "project = \"acme\"\nimage \"app\" {\n  tier = \"app\"\n  copy {\n    source = \"app\"\n    target = \"/srv\"\n  }\n}\n"
	if err := os.WriteFile(filepath.Join(dir, template.FileName), []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	cache, err := OpenCache(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer cache.Close()
	bake := func() {
		recipe, err := template.Load(dir, template.Options{})
		if err != nil {
			b.Fatal(err)
		}
		builder, err := NewBuilder(BuilderOptions{Cache: cache})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Bake(b.Context(), Request{Recipe: recipe, Builder: builder, Publisher: &stage{}}); err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(settledAge)
	bake()
	n := 0
	for b.Loop() {
		n++
		change(dir, n)
		bake()
	}
}
