package templates_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kiln/bake/template"
	"kiln/templates"
)

func TestNames(t *testing.T) {
	want := []string{"debian-java", "debian-node", "debian-python", "static-go"}
	if got := templates.Names(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if !slices.Contains(templates.Names(), templates.Default) {
		t.Errorf("the default %q is not there", templates.Default)
	}
}

// Every template is written whole, loads as a recipe, and tests its app over
// HTTP.
func TestWrite(t *testing.T) {
	for _, name := range templates.Names() {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new", "project")
			if err := templates.Write(t.Context(), dir, name, io.Discard); err != nil {
				t.Fatal(err)
			}
			files, err := templates.Files(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range append([]string{"kiln.hcl", ".gitignore", ".kilnignore"}, files...) {
				if info, err := os.Stat(filepath.Join(dir, f)); err != nil || info.Size() == 0 {
					t.Errorf("%s: %v", f, err)
				}
			}
			r, err := template.Load(dir, template.Options{})
			if err != nil {
				t.Fatal(err)
			}
			app := r.Leaves()[0]
			if len(r.Leaves()) != 1 || app.Tier != template.TierApp || app.Config.User == "" {
				t.Errorf("the app is %+v", app)
			}
			if !slices.ContainsFunc(app.Tests, func(c template.Test) bool { return c.HTTP != nil && c.HTTP.Path == "/healthz" }) {
				t.Errorf("the app is not tested over HTTP")
			}
			if _, err := r.ReadFiles(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWriteRefuses(t *testing.T) {
	full := t.TempDir()
	keep := filepath.Join(full, "kiln.hcl")
	if err := os.WriteFile(keep, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := templates.Write(t.Context(), full, templates.Default, io.Discard); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("a folder with files: %v", err)
	}
	if data, err := os.ReadFile(keep); err != nil || string(data) != "mine" {
		t.Errorf("what was there is now %q, %v", data, err)
	}
	if err := templates.Write(t.Context(), keep, templates.Default, io.Discard); err == nil {
		t.Error("a file was taken for a folder")
	}
	for _, name := range []string{"", "nodejs", "../templates", "debian-node/app"} {
		dir := filepath.Join(t.TempDir(), "new")
		err := templates.Write(t.Context(), dir, name, io.Discard)
		if !errors.Is(err, templates.ErrUnknown) || !strings.Contains(err.Error(), "debian-python") {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%q: the folder was made", name)
		}
	}
}

// Without Go the Go template writes nothing and says why; a build that fails
// leaves nothing, so that init can be run again.
func TestStaticGoLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", t.TempDir())
	err := templates.Write(t.Context(), dir, "static-go", io.Discard)
	if err == nil || !strings.Contains(err.Error(), "no go in PATH") {
		t.Errorf("got %v", err)
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\necho broken >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	err = templates.Write(t.Context(), dir, "static-go", io.Discard)
	if err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestStaticGoIsReproducible(t *testing.T) {
	var built [][]byte
	var talk bytes.Buffer
	for range 2 {
		dir := t.TempDir()
		if err := templates.Write(t.Context(), dir, "static-go", &talk); err != nil {
			t.Fatal(err)
		}
		program, err := os.ReadFile(filepath.Join(dir, "dist", "server"))
		if err != nil {
			t.Fatal(err)
		}
		built = append(built, program)
		out, err := exec.Command(filepath.Join(dir, "dist", "server"), "-version").Output()
		if err != nil || !strings.HasPrefix(string(out), "server built with go") {
			t.Errorf("the program says %q, %v", out, err)
		}
	}
	if !bytes.Equal(built[0], built[1]) {
		t.Error("two builds differ")
	}
	if !strings.Contains(talk.String(), "go build") {
		t.Errorf("the build was not told: %q", talk.String())
	}
}

// The class that debian-java ships is Java 17's and of the source beside it.
func TestJavaClass(t *testing.T) {
	class, err := os.ReadFile("debian-java/app/Main.class")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(class, []byte{0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 61}) {
		t.Errorf("begins with % x", class[:8])
	}
	source, err := os.ReadFile("debian-java/src/Main.java")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"/healthz", "hello from kiln\n", "listening on "} {
		if !bytes.Contains(class, []byte(text)) || !strings.Contains(string(source), strings.ReplaceAll(text, "\n", `\n`)) {
			t.Errorf("%q is not in both", text)
		}
	}
}
