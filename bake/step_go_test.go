package bake

import (
	"debug/buildinfo"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/bake/template"
)

// programming is a template with one go step on a module of its own.
func programming(more string) map[string]string {
	return map[string]string{
		"kiln.hcl":               "project = \"acme\"\nimage \"a\" {\n  platforms = [\"linux/amd64\"]\n  go {\n    dir = \"src\"\n    package = \"./cmd/tool\"\n    target = \"/usr/bin/\"\n    " + more + "\n  }\n}\n",
		"src/go.mod":             "module example.com/tool\n\ngo 1.22\n",
		"src/cmd/tool/main.go":   "package main\n\nimport \"example.com/tool/text\"\n\nfunc main() { println(text.Hello) }\n",
		"src/text/text.go":       "package text\n\nvar Hello = \"hello\"\n",
		"src/text/text_other.go": "//go:build other\n\npackage text\n\nfunc init() { Hello = \"other\" }\n",
		".kilnignore":            "*.go\n", // keeps sources out of copies, and is no reason to miss a change
	}
}

// programOf is the program that an image's last layer holds.
func programOf(t *testing.T, b *Builder, img *Image) string {
	t.Helper()
	items, err := b.filesOf(t.Context(), img.Image, "/usr/bin/tool")
	if err != nil {
		t.Fatal(err)
	}
	rc, err := items[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	file := filepath.Join(t.TempDir(), "tool")
	data, err := io.ReadAll(rc)
	if err == nil {
		err = os.WriteFile(file, data, 0o755)
	}
	if err != nil || items[0].Mode != 0o755 {
		t.Fatalf("mode %o, %v", items[0].Mode, err)
	}
	return file
}

// An unchanged program is not compiled again, also where there is no Go; the
// same module in another folder is the same program; a changed one is another.
func TestGoStep(t *testing.T) {
	t.Setenv("GOFLAGS", "-ldflags=-X=example.com/tool/text.Hello=host") // of the host, and without effect
	t.Setenv("GOAMD64", "v3")
	recipe := project(t, programming(""))
	b := relock(t, builder(t, BuilderOptions{}).Cache, recipe, nil, false)
	img := buildAll(t, b, recipe)
	file := programOf(t, b, img)
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["GOAMD64"] != "v1" || settings["CGO_ENABLED"] != "0" || settings["-trimpath"] != "true" || settings["vcs"] != "" {
		t.Errorf("settings %v", settings)
	}
	if in := img.Inputs[0]; in.Name != "go" || !strings.Contains(in.URI, "src/cmd/tool?toolchain="+info.GoVersion) {
		t.Errorf("input %+v, program of %s", in, info.GoVersion)
	}
	elsewhere := project(t, programming(""))
	other := relock(t, builder(t, BuilderOptions{}).Cache, elsewhere, nil, false)
	if got := buildAll(t, other, elsewhere).Digest; got != img.Digest {
		t.Errorf("elsewhere: %s, want %s", got, img.Digest)
	}
	changed := programming("")
	changed["src/text/text.go"] = "package text\n\nvar Hello = \"bye\"\n"
	again := project(t, changed)
	if buildAll(t, relock(t, b.cache, again, nil, false), again).Digest == img.Digest {
		t.Error("a changed source made the same image")
	}
	tagged := project(t, programming(`tags = ["other"]`))
	if buildAll(t, relock(t, b.cache, tagged, nil, false), tagged).Digest == img.Digest {
		t.Error("a tag made the same image")
	}
	t.Setenv("PATH", "/nothing")
	if warm := buildAll(t, builder(t, BuilderOptions{Cache: b.cache, Lock: b.Lock}), recipe); warm.Digest != img.Digest || !warm.Steps[0].Cached {
		t.Errorf("warm: %+v", warm.Steps)
	}
	if _, err := (&Locker{Cache: b.cache}).Lock(t.Context(), recipe, nil); err == nil || !strings.Contains(err.Error(), "go is not installed") {
		t.Errorf("without go: %v", err)
	}
}

func TestGoStepErrors(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"syntax":  {map[string]string{"src/text/text.go": "package text\n\nvar Hello = nothing\n"}, "undefined: nothing"},
		"library": {map[string]string{"src/cmd/tool/main.go": "package tool\n"}, "the package is no program"},
		"outside": {map[string]string{
			"src/go.mod":           "module example.com/tool\n\ngo 1.22\n\nrequire example.com/lib v0.0.0\nreplace example.com/lib => ../lib\n",
			"lib/go.mod":           "module example.com/lib\n",
			"lib/lib.go":           "package lib\n\nconst X = 1\n",
			"src/cmd/tool/main.go": "package main\n\nimport \"example.com/lib\"\n\nfunc main() { println(lib.X) }\n",
		}, "example.com/lib is replaced by ../lib, outside the module's folder"},
		"excluded": {programming(`exclude = ["text"]`), "exclude leaves out text/text.go, which go build reads"},
		"excluded, embedded": {map[string]string{
			"kiln.hcl":         programming(`exclude = ["*.txt"]`)["kiln.hcl"],
			"src/text/text.go": "package text\n\nimport _ \"embed\"\n\n//go:embed hello.txt\nvar Hello string\n", "src/text/hello.txt": "hello",
		}, "exclude leaves out text/hello.txt"},
		"excluded module": {programming(`exclude = ["go.mod"]`), "exclude leaves out go.mod"},
	} {
		t.Run(name, func(t *testing.T) {
			files := programming("")
			maps.Copy(files, c.files)
			recipe := project(t, files)
			b := relock(t, builder(t, BuilderOptions{}).Cache, recipe, nil, false)
			if _, err := b.Build(t.Context(), recipe.Images[0]); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	recipe := project(t, programming(""))
	lock := &template.Lock{Images: map[string]template.LockedImage{"a": {Go: "go1.2.3"}}}
	_, err := builder(t, BuilderOptions{Lock: lock}).Build(t.Context(), recipe.Images[0])
	if err == nil || !strings.Contains(err.Error(), "kiln.lock says go1.2.3, this host has go") {
		t.Errorf("another version: %v", err)
	}
}

// The host's Go, which a go step runs outside of a sandbox, is not told what
// signs, nor how to get at it.
func TestGoEnvWithoutKeys(t *testing.T) {
	t.Setenv("KEPT", "kept")
	for _, name := range []string{"COSIGN_PASSWORD", "KILN_KEY", "VAULT_TOKEN", "AWS_SECRET_ACCESS_KEY", "SIGSTORE_ID_TOKEN"} {
		t.Setenv(name, "hidden")
	}
	env, err := goEnv(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(env, "\n"); strings.Contains(all, "hidden") || !strings.Contains(all, "KEPT=kept") {
		t.Errorf("environment %s", all)
	}
}
