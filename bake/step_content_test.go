package bake

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"kiln/bake/template"
)

// project writes a template and files beside it, and loads it.
func project(t *testing.T, files map[string]string) *template.Recipe {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	recipe, err := template.Load(dir, template.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return recipe
}

// builder makes a Builder with a cache of its own.
func builder(t *testing.T, opts BuilderOptions) *Builder {
	t.Helper()
	if opts.Cache == nil {
		cache, err := OpenCache(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		opts.Cache = cache
	}
	b, err := NewBuilder(opts)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// buildAll builds every image of a recipe and returns the last.
func buildAll(t *testing.T, b *Builder, recipe *template.Recipe) *Image {
	t.Helper()
	var last *Image
	for _, im := range recipe.Images {
		img, err := b.Build(context.Background(), im)
		if err != nil {
			t.Fatal(err)
		}
		last = img
	}
	return last
}

// The digest of a copy is pinned: it was taken before there were other content
// steps, and a change of it is one of every image that copies.
func TestCopyDigest(t *testing.T) {
	recipe := project(t, map[string]string{
		"app/main.js": "main", "app/lib/a.js": "a", "app/lib-b.js": "b",
		"kiln.hcl": `project = "acme"
image "a" {
  platforms = ["linux/amd64"]
  copy {
    source = "app"
    target = "/srv/app"
    owner  = "7:8"
    mtime  = "2001-02-03T04:05:06Z"
  }
}
image "b" {
  from = image.a
  copy {
    source = "app/main.js"
    target = "/srv/app/lib/deep/"
    mode   = "0750"
  }
}
`,
	})
	const want = "sha256:1da2f7704ba49b2a565c1145fd9332fac9a1c25d1d54decfe02295dd6a01d111"
	if got := buildAll(t, builder(t, BuilderOptions{}), recipe).Digest; string(got) != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}
