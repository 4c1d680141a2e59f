package bake

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// NoCommit stands for the commit of a tree that has none.
const NoCommit = "000000000000"

// Revision is what git says of a template's folder.
type Revision struct {
	Commit string // full hex, "" without a commit
	Dirty  bool   // something that the bake reads differs from Commit
	Origin string // URL of the remote "origin", without credentials
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
// (absolute path, true when the bake reads it). A kiln.lock that HEAD does not
// have never counts. A folder without git or without a commit is dirty.
func ReadRevision(ctx context.Context, dir string, reads func(path string) bool) Revision {
	commit, err := git(ctx, dir, "rev-parse", "--verify", "-q", "HEAD")
	if err != nil {
		return Revision{Dirty: true}
	}
	rev := Revision{Commit: strings.TrimSpace(string(commit))}
	if origin, err := git(ctx, dir, "config", "--get", "remote.origin.url"); err == nil {
		rev.Origin = withoutCredentials(strings.TrimSpace(string(origin)))
	}
	top, err := git(ctx, dir, "rev-parse", "--show-toplevel")
	if err != nil {
		return Revision{Dirty: true}
	}
	status, err := git(ctx, dir, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", ".")
	rev.Dirty = err != nil || dirtyStatus(status, strings.TrimSpace(string(top)), reads)
	return rev
}

// dirtyStatus reads git's porcelain v1 -z form: "XY path" entries.
func dirtyStatus(status []byte, top string, reads func(string) bool) bool {
	for _, entry := range bytes.Split(status, []byte{0}) {
		if len(entry) < 4 {
			continue
		}
		code, path := string(entry[:2]), filepath.Join(top, string(entry[3:]))
		switch {
		case code == "??":
			if filepath.Base(path) != "kiln.lock" && reads(path) {
				return true
			}
		case strings.Contains(code, "A") && filepath.Base(path) == "kiln.lock":
		default:
			return true
		}
	}
	return false
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

func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--no-optional-locks", "-c", "safe.directory=*", "-C", dir}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_CEILING_DIRECTORIES=")
	return cmd.Output()
}
