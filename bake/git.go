package bake

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// NoCommit stands for the commit of a tree that has none.
const NoCommit = "000000000000"

// Revision is what git says of a template's folder.
type Revision struct {
	Commit string // full hex, "" without a commit
	Dirty  bool   // something that the bake reads differs from Commit
	Origin string // URL of the remote "origin", without credentials
	// Problem is why there is no commit, where it is not just that nobody
	// made one: no git program, or a repository that git refuses.
	Problem string
}

// Short is the 12 digits that a version tag carries.
func (r Revision) Short() string {
	if len(r.Commit) < 12 {
		return NoCommit
	}
	return r.Commit[:12]
}

// ReadRevision asks git about dir. A tracked file under dir that differs from
// HEAD makes the revision dirty, and so does an untracked one that reads names
// (absolute path, true when the bake reads it). The lock of dir that HEAD does
// not have never counts. A folder without git or without a commit is dirty.
func ReadRevision(ctx context.Context, dir string, reads []string) Revision {
	return AskRevision(ctx, dir, true).Revision(reads)
}

// Asked is a question to git on its way: its processes take longer to start
// than to answer, so there are several at once, and others work meanwhile.
type Asked struct {
	dir                  string
	done                 sync.WaitGroup
	head, origin, status answer
}

// AskRevision begins what ReadRevision does. The origin, which only provenance
// tells, is left out unless it is asked for.
func AskRevision(ctx context.Context, dir string, origin bool) *Asked {
	a := &Asked{}
	if a.dir, a.head.err = filepath.EvalSymlinks(dir); a.head.err != nil {
		return a
	}
	a.ask(ctx, &a.head, "rev-parse", "HEAD", "--show-toplevel")
	if origin {
		a.ask(ctx, &a.origin, "config", "--get", "remote.origin.url")
	}
	a.ask(ctx, &a.status, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=none", "--", ".")
	return a
}

// Revision waits for the answer; see ReadRevision for reads.
func (a *Asked) Revision(reads []string) Revision {
	a.done.Wait()
	commit, top, _ := strings.Cut(a.head.line(), "\n")
	if _, err := hex.DecodeString(commit); err != nil || commit == "" { // it repeats a HEAD without a commit
		return Revision{Dirty: true, Problem: problem(a.head.err)}
	}
	rev := Revision{Commit: commit, Dirty: true}
	if a.origin.err == nil && len(a.origin.out) > 0 {
		rev.Origin = withoutCredentials(a.origin.line())
	}
	if a.head.err == nil && a.status.err == nil {
		rev.Dirty = dirtyStatus(a.status.out, top, filepath.Join(a.dir, "kiln.lock"), reads)
	}
	return rev
}

// answer is what a git command printed.
type answer struct {
	out []byte
	err error
}

func (a *Asked) ask(ctx context.Context, to *answer, args ...string) {
	a.done.Go(func() { to.out, to.err = git(ctx, a.dir, args...) })
}

func (a *answer) line() string { return strings.TrimSpace(string(a.out)) }

// dirtyStatus reads git's porcelain v1 -z form: "XY path" entries. An untracked
// path that ends in a slash is a repository of its own, which git does not
// look into.
func dirtyStatus(status []byte, top, lock string, reads []string) bool {
	read := map[string]bool{}
	for _, r := range reads {
		read[r] = true
	}
	for _, entry := range bytes.Split(status, []byte{0}) {
		if len(entry) < 4 {
			continue
		}
		code, name := string(entry[:2]), string(entry[3:])
		path := filepath.Join(top, name)
		switch {
		case path == lock && (code == "??" || code[0] == 'A'):
		case code == "??" && strings.HasSuffix(name, "/"):
			if slices.ContainsFunc(reads, func(r string) bool { return strings.HasPrefix(r, path+"/") }) {
				return true
			}
		case code == "??":
			if read[path] {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// problem says in a line what keeps git from answering.
func problem(err error) string {
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "git is not installed"
	case errors.As(err, &exit) && bytes.Contains(exit.Stderr, []byte("dubious ownership")):
		return "the repository belongs to another user, and git refuses it (git config --global --add safe.directory FOLDER trusts it)"
	}
	return ""
}

// withoutCredentials drops user:password@ of a URL: provenance is public.
func withoutCredentials(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return url
	}
	host, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		host = host[at+1:]
	}
	return scheme + "://" + host + "/" + path
}

// git runs git on the repository around dir and none other. What a hostile
// checkout could make it execute is turned off, and a repository of another
// owner is refused by git itself.
func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	safe := []string{"--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-C", dir}
	cmd := exec.CommandContext(ctx, "git", append(safe, args...)...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GIT_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	return cmd.Output()
}
