package bake

import (
	"context"
	"fmt"
	"os"

	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kiln/bake/template"
	"kiln/layers"
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

// The digest of a copy is pinned: a change of it is one of every image that
// copies. It last changed when folders of the parent that are not root's with
// mode 0755 came into the layers of what is copied into them.
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
	const want = "sha256:0e6b41aa1945aa94902e94dfd57c6b6710f6f221bd59a7ff7ba1a636195f658a"
	if got := buildAll(t, builder(t, BuilderOptions{}), recipe).Digest; string(got) != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

// docker and podman make folders that a layer only implies root's with mode
// 0755, over what the parent says of them.
func TestCopyKeepsFolders(t *testing.T) {
	recipe := project(t, map[string]string{
		"f": "x",
		"kiln.hcl": `project = "acme"
image "a" {
  dir {
    path  = "/var/secret"
    mode  = "0700"
    owner = "7:8"
  }
  dir { path = "/var/plain" }
}
image "b" {
  from = image.a
  copy {
    source = "f"
    target = "/var/secret/in/f"
  }
  copy {
    source = "f"
    target = "/var/plain/f"
  }
}
`,
	})
	img := buildAll(t, builder(t, BuilderOptions{}), recipe)
	var got []string
	for _, s := range img.Steps {
		ix, err := layers.IndexLayer(t.Context(), s.layer)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ix.Paths() {
			if n, _ := ix.Node(p); !n.Implicit {
				got = append(got, fmt.Sprintf("%s %o %d:%d", p, n.Mode, n.UID, n.GID))
			}
		}
	}
	want := []string{"var/secret 700 7:8", "var/secret/in 755 0:0", "var/secret/in/f 644 0:0", "var/plain/f 644 0:0"}
	if !slices.Equal(got, want) {
		t.Errorf("layers list %q, want %q", got, want)
	}
}

// An empty file may be named as a layer names what it removes: it must not
// remove the parent's, by whatever step it comes.
func TestContentStepsRemoveNothing(t *testing.T) {
	for name, step := range map[string]string{
		"copy":       "copy {\n    source = \"files\"\n    target = \"/etc\"\n  }",
		"file":       "file {\n    path = \"/etc/.wh.a\"\n    content = \"\"\n  }",
		"dockerfile": "dockerfile {}",
	} {
		t.Run(name, func(t *testing.T) {
			recipe := project(t, map[string]string{
				"kiln.hcl":     "project = \"acme\"\nimage \"a\" {\n  " + step + "\n}\n",
				"Dockerfile":   "FROM scratch\nCOPY files /etc/\n",
				"files/.wh.a":  "",
				"files/normal": "",
			})
			_, err := builder(t, BuilderOptions{}).Build(t.Context(), recipe.Images[0])
			if err == nil || !strings.Contains(err.Error(), `/etc/.wh.a: names that begin with .wh. are whiteouts`) {
				t.Errorf("got %v", err)
			}
		})
	}
}
