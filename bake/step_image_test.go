package bake

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// contentOf lists what the last layer of an image holds: "path mode uid:gid
// content or -> link", folders with a slash.
func contentOf(t *testing.T, img v1.Image) []string {
	t.Helper()
	all, err := img.Layers()
	if err != nil || len(all) == 0 {
		t.Fatalf("layers: %d, %v", len(all), err)
	}
	rc, err := all[len(all)-1].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	return entriesOf(t, rc)
}

// flatOf lists all that an image shows, in the form of contentOf.
func flatOf(t *testing.T, img v1.Image) []string {
	t.Helper()
	rc := mutate.Extract(img)
	defer rc.Close()
	return entriesOf(t, rc)
}

func entriesOf(t *testing.T, r io.Reader) []string {
	t.Helper()
	found := map[string]string{}
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return slices.Sorted(maps.Values(found))
		}
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("%s %o %d:%d", h.Name, h.Mode, h.Uid, h.Gid)
		switch h.Typeflag {
		case tar.TypeSymlink:
			line += " -> " + h.Linkname
		case tar.TypeReg:
			data, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			line += " " + string(data)
		}
		found[h.Name] = line
	}
}

func compareLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// stages is a template whose second image is copied from in some way.
func stages(block string) map[string]string {
	return map[string]string{
		"one/bin/tool": "first", "one/lib/a": "a", "one/lib/b": "b", "two/bin/tool": "second",
		"kiln.hcl": `project = "acme"
image "build" {
  copy {
    source = "one"
    target = "/opt"
    owner  = "5:6"
    mode   = "0750"
  }
  copy {
    source = "two"
    target = "/opt"
  }
}
image "app" {
` + block + `
}
`,
	}
}

func TestImageStep(t *testing.T) {
	for name, c := range map[string]struct {
		block string
		want  []string
	}{
		// What a later layer replaced comes from there, with its mode and owner.
		"folder": {`image {
    from   = image.build
    source = "/opt"
    target = "/srv"
  }`, []string{"srv/ 755 5:6", "srv/bin/ 755 5:6", "srv/bin/tool 644 0:0 second", "srv/lib/ 755 5:6", "srv/lib/a 750 5:6 a", "srv/lib/b 750 5:6 b"}},
		"file, owner": {`image {
    from   = image.build
    source = "/opt/lib/a"
    target = "/usr/local/"
    owner  = "9"
  }`, []string{"usr/ 755 0:0", "usr/local/ 755 0:0", "usr/local/a 750 9:9 a"}},
		"exclude": {`image {
    from    = image.build
    source  = "/"
    target  = "/"
    exclude = ["bin/", "b"]
  }`, []string{"opt/ 755 5:6", "opt/lib/ 755 5:6", "opt/lib/a 750 5:6 a"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := builder(t, BuilderOptions{})
			img := buildAll(t, b, project(t, stages(c.block)))
			compareLines(t, contentOf(t, img.Image), c.want...)
			if img.Parent != nil || len(img.Inputs) != 1 || img.Inputs[0].Name != "image" {
				t.Errorf("parent %v, inputs %v", img.Parent, img.Inputs)
			}
			again := buildAll(t, builder(t, BuilderOptions{Cache: b.Cache}), project(t, stages(c.block)))
			if again.Digest != img.Digest || !again.Steps[0].Cached {
				t.Errorf("again: digest %s, was %s; %+v", again.Digest, img.Digest, again.Steps)
			}
		})
	}
}

func TestImageStepErrors(t *testing.T) {
	for name, c := range map[string]struct{ source, target, want string }{
		"missing":  {"/opt/none", "/srv", "acme/build: the image has no /opt/none"},
		"as root":  {"/opt/lib/a", "/", ""},
		"not made": {"/opt/lib/a/b", "/srv", "is no folder"},
	} {
		t.Run(name, func(t *testing.T) {
			block := fmt.Sprintf("image {\n from = image.build\n source = %q\n target = %q\n}", c.source, c.target)
			recipe := project(t, stages(block))
			b := builder(t, BuilderOptions{})
			if _, err := b.Build(context.Background(), recipe.Images[0]); err != nil {
				t.Fatal(err)
			}
			_, err := b.Build(context.Background(), recipe.Images[1])
			if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A plan says which image a step waits for.
func TestImageStepPlanned(t *testing.T) {
	recipe := project(t, map[string]string{"f": "x", "kiln.hcl": `project = "acme"
image "a" {
  copy {
    source = "f"
    target = "/f"
  }
}
image "b" {
  image {
    from   = image.a
    source = "/f"
    target = "/g"
  }
}
`})
	plan, err := builder(t, BuilderOptions{}).Plan(t.Context(), recipe.Images)
	if err != nil || len(plan) != 2 || plan[1].Steps[0].Reason != "acme/a is built first" {
		t.Errorf("%+v, %v", plan, err)
	}
}
