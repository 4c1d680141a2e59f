package bake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrNoCommit says that a repository does not have a commit.
var ErrNoCommit = errors.New("the repository does not have the commit")

// Checkout puts the files of a commit into the folder into, as git checks them
// out, from the repository around dir. It writes nothing to that repository and
// fetches nothing: what git keeps elsewhere (submodules) is not there. prefix is
// where dir lies in the repository, with slashes.
func Checkout(ctx context.Context, dir, commit, into string) (prefix string, err error) {
	where, err := git(ctx, dir, "rev-parse", "--show-prefix")
	if err != nil {
		return "", fmt.Errorf("%s: %w", dir, gitSaid(err))
	}
	return strings.TrimSpace(string(where)), checkout(ctx, dir, commit, into)
}

func checkout(ctx context.Context, dir, commit, into string) error {
	objects, err := git(ctx, dir, "rev-parse", "--path-format=absolute", "--git-path", "objects")
	if err != nil {
		return fmt.Errorf("%s: %w", dir, gitSaid(err))
	}
	if _, err := git(ctx, dir, "cat-file", "-e", commit+"^{commit}"); err != nil {
		return fmt.Errorf("%s: %s: %w", dir, commit, ErrNoCommit)
	}
	format, err := git(ctx, dir, "rev-parse", "--show-object-format")
	if err != nil {
		return fmt.Errorf("%s: %w", dir, gitSaid(err))
	}
	if err := os.Mkdir(into, 0o755); err != nil {
		return err
	}
	if _, err := git(ctx, into, "init", "-q", "--template=", "--object-format="+strings.TrimSpace(string(format))); err != nil {
		return fmt.Errorf("check out %s: %w", commit, gitSaid(err))
	}
	info := filepath.Join(into, ".git", "objects", "info")
	if err := os.MkdirAll(info, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(info, "alternates"), objects, 0o644); err != nil {
		return err
	}
	if _, err := git(ctx, into, "checkout", "-q", "--detach", commit); err != nil {
		return fmt.Errorf("check out %s: %w", commit, gitSaid(err))
	}
	return nil
}

// gitSaid is what git said, in a line.
func gitSaid(err error) error {
	if text := problem(err); text != "" {
		return errors.New(text)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if said := strings.TrimSpace(string(exit.Stderr)); said != "" {
			return errors.New(strings.ReplaceAll(clipped(said), "\n", ": "))
		}
	}
	return err
}
