package bake

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// gitWait is how long a git that was told to end gets for it.
const gitWait = 5 * time.Second

// gitConfig is all the configuration that git sees: nothing of the machine or
// of the user.
const gitConfig = `[safe]
	directory = *
[core]
	hooksPath = /dev/null
	fsmonitor = false
[credential]
	helper =
[protocol]
	version = 2
	allow = never
[protocol "https"]
	allow = always
[protocol "http"]
	allow = always
[protocol "file"]
	allow = always
[uploadpack]
	allowAnySHA1InWant = true
[gc]
	auto = 0
`

// gitEnv passes on where programs and proxies are, and nothing else.
func (c *Cache) gitEnv() ([]string, error) {
	home, config := c.path("git", "home"), c.path("git", "config")
	if err := makeDirs(home); err != nil {
		return nil, err
	}
	if have, err := os.ReadFile(config); err != nil || string(have) != gitConfig {
		if err := c.saveBytes([]byte(gitConfig), "git", "config"); err != nil {
			return nil, err
		}
	}
	env := []string{
		"HOME=" + home, "GIT_CONFIG_GLOBAL=" + config, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_ASKPASS=false", "GIT_ATTR_NOSYSTEM=1", "GIT_NO_REPLACE_OBJECTS=1", "LC_ALL=C", "TZ=UTC",
	}
	for _, name := range []string{"PATH", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env, nil
}

// errNoGit says that the host lacks git.
var errNoGit = errors.New("git is not installed (apt-get install git)")

// gitCommand is git with none of the user's configuration, ended with ctx.
func (c *Cache) gitCommand(ctx context.Context, dir string, args ...string) (*exec.Cmd, *bytes.Buffer, error) {
	env, err := c.gitEnv()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, "git", args...)
	if errors.Is(cmd.Err, exec.ErrNotFound) {
		return nil, nil, errNoGit
	}
	said := &bytes.Buffer{}
	cmd.Dir, cmd.Env, cmd.Stderr, cmd.WaitDelay = dir, env, said, gitWait
	return cmd, said, nil
}

// git runs git and returns what it prints.
func (c *Cache) git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd, said, err := c.gitCommand(ctx, dir, args...)
	if err != nil {
		return nil, err
	}
	out, err := cmd.Output()
	return out, gitFailure(ctx, args[0], said, err)
}

func gitFailure(ctx context.Context, what string, said *bytes.Buffer, err error) error {
	switch text := strings.TrimSpace(said.String()); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case text != "":
		return fmt.Errorf("git %s: %s", what, strings.ReplaceAll(text, "\n", "; "))
	}
	return fmt.Errorf("git %s: %w", what, err)
}

// resolveRef finds the commit that a branch, a tag or HEAD of a repository is
// at now; of an annotated tag what it points to.
func (c *Cache) resolveRef(ctx context.Context, url, ref string) (string, error) {
	if err := makeDirs(c.path("git")); err != nil {
		return "", err
	}
	out, err := c.git(ctx, c.path("git"), "ls-remote", "--", url, ref, ref+"^{}")
	if err != nil {
		return "", err
	}
	found := map[string]string{}
	for line := range strings.Lines(string(out)) {
		commit, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		found[name] = commit
	}
	for _, name := range []string{"refs/tags/" + ref + "^{}", "refs/tags/" + ref, "refs/heads/" + ref, ref + "^{}", ref} {
		if commit := found[name]; commit != "" {
			return commit, nil
		}
	}
	return "", fmt.Errorf("%s has no branch or tag %q", url, ref)
}

// repository returns a bare repository in the cache that has the commit. The
// caller closes the lock when it has read it.
func (c *Cache) repository(ctx context.Context, url, ref, commit string) (dir string, lock io.Closer, err error) {
	name := key("git", url)
	dir = c.path("git", name)
	if err := makeDirs(c.path("git")); err != nil {
		return "", nil, err
	}
	held, err := waitLock(ctx, dir+".lock")
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			held.Close()
		}
	}()
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); errors.Is(err, fs.ErrNotExist) {
		format := map[int]string{40: "sha1", 64: "sha256"}[len(commit)]
		if _, err := c.git(ctx, c.path("git"), "init", "--quiet", "--bare", "--template=", "--object-format="+format, dir); err != nil {
			return "", nil, err
		}
	}
	c.claim("git", name)
	if _, err := c.git(ctx, dir, "cat-file", "-e", commit+"^{tree}"); err == nil {
		return dir, held, nil
	}
	c.wrote(1) // nobody knows how much
	return dir, held, c.fetchCommit(ctx, dir, url, ref, commit)
}

// fetchCommit fetches as little as the server gives: the commit alone, or all
// that led to the ref.
func (c *Cache) fetchCommit(ctx context.Context, dir, url, ref, commit string) error {
	var first error
	for _, args := range [][]string{{"--depth=1", "--", url, commit}, {"--", url, ref}} {
		_, err := c.git(ctx, dir, append([]string{"fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance"}, args...)...)
		if err == nil {
			_, err = c.git(ctx, dir, "cat-file", "-e", commit+"^{tree}")
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return fmt.Errorf("%s does not give commit %s: %w (if it is gone there, run kiln lock --update)", url, commit, first)
}

// gitEntry is one entry of a commit's tree.
type gitEntry struct{ mode, id, path string }

// tree lists what is below a folder of a commit.
func (c *Cache) tree(ctx context.Context, dir, commit, subdir string) ([]gitEntry, error) {
	from := commit + ":"
	if subdir != "." {
		from += subdir
	}
	out, err := c.git(ctx, dir, "ls-tree", "-r", "-t", "-z", "--full-tree", from)
	if err != nil {
		return nil, err
	}
	var list []gitEntry
	for _, line := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		head, name, ok := strings.Cut(line, "\t")
		f := strings.Fields(head)
		if !ok || len(f) != 3 {
			return nil, fmt.Errorf("git ls-tree: %q", line)
		}
		list = append(list, gitEntry{f[0], f[2], name})
	}
	return list, nil
}

// blobs hands the content of objects to read, in order.
func (c *Cache) blobs(ctx context.Context, dir string, ids []string, read func(i int, content io.Reader) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd, said, err := c.gitCommand(ctx, dir, "cat-file", "--batch")
	if err != nil {
		return err
	}
	cmd.Stdin = strings.NewReader(strings.Join(append(ids, ""), "\n"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	in := bufio.NewReaderSize(out, 1<<16)
	for i, id := range ids {
		if err := oneBlob(in, id, func(content io.Reader) error { return read(i, content) }); err != nil {
			cancel()
			_ = cmd.Wait() // it was told to end
			return err
		}
	}
	return gitFailure(ctx, "cat-file", said, cmd.Wait())
}

// oneBlob reads one answer of cat-file --batch: "ID blob SIZE", the content and
// a newline.
func oneBlob(in *bufio.Reader, id string, read func(io.Reader) error) error {
	head, err := in.ReadString('\n')
	if err != nil {
		return fmt.Errorf("git cat-file: %w", err)
	}
	f := strings.Fields(head)
	if len(f) != 3 || f[0] != id || f[1] != "blob" {
		return fmt.Errorf("git cat-file: %q", strings.TrimSpace(head))
	}
	size, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return fmt.Errorf("git cat-file: size %q", f[2])
	}
	content := &io.LimitedReader{R: in, N: size}
	if err := read(content); err != nil {
		return err
	}
	if content.N > 0 {
		return errors.New("git cat-file: the content ended early")
	}
	_, err = in.Discard(1)
	return err
}
