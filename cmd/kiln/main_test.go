package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"kiln/bake/sandbox"
	"kiln/policy"
)

func TestMain(m *testing.M) {
	sandbox.Init()
	policy.Init()
	testscript.Main(m, map[string]func(){
		"kiln": func() {
			os.Exit(run(context.Background(), os.Args[1:], stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}, os.Getenv))
		},
		"hang":                  hang,
		"sigstore-kms-kilntest": kmsPlugin,
	})
}

// TestScripts runs every command as a person would, in folders of its own.
func TestScripts(t *testing.T) {
	helper := filepath.Join(t.TempDir(), "helper")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", helper, "./testdata/helper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	compiled, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("KILN_CACHE", env.WorkDir+"/cache")
			env.Setenv("KILN_STORE", env.WorkDir+"/store")
			env.Setenv("HELPER", helper)
			env.Setenv("GOCACHE", strings.TrimSpace(string(compiled)))
			env.Setenv("GIT_AUTHOR_NAME", "t")
			env.Setenv("GIT_AUTHOR_EMAIL", "t@example.com")
			env.Setenv("GIT_COMMITTER_NAME", "t")
			env.Setenv("GIT_COMMITTER_EMAIL", "t@example.com")
			return os.Mkdir(env.WorkDir+"/home", 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"sigstore": sigstoreCommand,
			"digest":   digestCommand,
			"keys":     keysCommand,
			"record":   recordCommand,
		},
	})
}
