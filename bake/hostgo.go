package bake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// goWait is how long a go that was told to end gets for it.
const goWait = 5 * time.Second

// hostSettings are what a host says about where modules come from and where
// what was built lies: they change no program, since go.sum pins modules.
func hostSettings() []string {
	return []string{"GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "GOMODCACHE", "GOCACHE", "GOPATH", "GOVCS"}
}

// hostGo is the version of the host's Go.
func hostGo(ctx context.Context) (string, error) {
	out, err := runGo(ctx, "", append(os.Environ(), "GOTOOLCHAIN=local"), "env", "GOVERSION")
	return strings.TrimSpace(string(out)), err
}

// goEnv is the environment in which go builds: settings, where the host's
// caches and proxies are, and nothing else that go looks at.
func goEnv(ctx context.Context, settings map[string]string) ([]string, error) {
	out, err := runGo(ctx, "", append(os.Environ(), "GOTOOLCHAIN=local"), append([]string{"env", "-json"}, hostSettings()...)...)
	if err != nil {
		return nil, err
	}
	host := map[string]string{}
	if err := json.Unmarshal(out, &host); err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	env := append(sortedEnv(host), sortedEnv(settings)...)
	env = append(env, "GOENV=off", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local", "LC_ALL=C", "TZ=UTC")
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); !strings.HasPrefix(name, "GO") && !strings.HasPrefix(name, "CGO_") && name != "LC_ALL" && name != "TZ" && !signs(name) {
			env = append(env, kv)
		}
	}
	return env, nil
}

// signs tells variables that signing needs, or the store: nothing that builds
// may see what they hold.
func signs(name string) bool {
	return slices.ContainsFunc([]string{"KILN_", "COSIGN_", "SIGSTORE_", "VAULT_", "AWS_", "ACTIONS_ID_TOKEN_"}, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

// runGo runs the host's Go and returns what it prints.
func runGo(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	if errors.Is(cmd.Err, exec.ErrNotFound) {
		return nil, errors.New("go is not installed (get it from go.dev/dl, or build the program before and copy it)")
	}
	var said bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr, cmd.WaitDelay = dir, env, &said, goWait
	out, err := cmd.Output()
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, fmt.Errorf("go %s: %w:\n  %s", args[0], err, strings.ReplaceAll(strings.TrimSpace(string(clip(said.Bytes()))), "\n", "\n  "))
}

// hashOf is the sha256 of what r delivers, in hex.
func hashOf(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
