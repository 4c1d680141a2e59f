package templates

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// buildFunc makes what a written template bakes but does not ship.
type buildFunc func(ctx context.Context, dir string, talk io.Writer) error

// builder is what a template needs besides its files. It looks for the tool,
// so that nothing is written without it.
func builder(name string) (buildFunc, error) {
	if name != "static-go" {
		return func(context.Context, string, io.Writer) error { return nil }, nil
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		return nil, errors.New("template static-go compiles its program, and there is no go in PATH: install Go, or take another template")
	}
	return func(ctx context.Context, dir string, talk io.Writer) error {
		return buildGo(ctx, tool, dir, talk)
	}, nil
}

// buildGo compiles the program as the template's comment tells to, without
// paths or ids of this host in it.
func buildGo(ctx context.Context, tool, dir string, talk io.Writer) error {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", "dist/server", "."}
	fmt.Fprintf(talk, "in %s: CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags=\"-s -w -buildid=\" -o dist/server .\n", dir)
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the program of template static-go: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
