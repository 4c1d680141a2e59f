package bake

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"kiln/bake/template"
)

// gitContents are the files of a commit, read from git's objects: no checkout,
// no filters, no attributes. What they are is kept by commit, so that a warm
// bake needs neither git nor network.
func (b *Builder) gitContents(ctx context.Context, recipe *template.Image, g *template.Git) (contents, error) {
	commit := g.Commit
	if commit == "" && b.Lock != nil {
		commit = b.Lock.Images[recipe.LockName()].Git[g.Key()]
	}
	if commit == "" {
		return contents{}, fmt.Errorf("kiln.lock has no commit for %s (run kiln lock)", g.Key())
	}
	list, err := b.gitItems(ctx, g, commit)
	if err != nil {
		return contents{}, err
	}
	c := contents{inputs: []Input{{Dependency: Dependency{
		Name: "git", URI: "git+" + gitURI(g.URL), Digest: map[string]string{"gitCommit": commit},
	}}}}
	var dir string
	c.load = func(ctx context.Context, scratch string) error {
		dir = filepath.Join(scratch, "blobs")
		if err := makeDirs(dir); err != nil {
			return err
		}
		_, err := b.readCommit(ctx, g, commit, dir)
		return err
	}
	c.items = []item{{Target: g.Target, Kind: tar.TypeDir, Mode: 0o755, UID: g.UID, GID: g.GID}}
	for _, it := range list {
		it.Target, it.UID, it.GID = path.Join(g.Target, it.Target), g.UID, g.GID
		if it.Kind == tar.TypeReg {
			it.Open = func() (io.ReadCloser, error) { return openHashed(filepath.Join(dir, it.SHA256), it.SHA256) }
		}
		c.items = append(c.items, it)
	}
	return c, nil
}

// gitURI is a repository as provenance names it.
func gitURI(url string) string {
	if filepath.IsAbs(url) {
		return "file://" + url
	}
	return url
}

// gitItems lists the files of a commit, relative to the folder that is wanted.
func (b *Builder) gitItems(ctx context.Context, g *template.Git, commit string) ([]item, error) {
	k := key("git", commit, g.Subdir, g.Exclude) + ".json"
	var list []item
	if b.cache.load(&list, "places", k) {
		return list, nil
	}
	if b.planning {
		return nil, errMiss
	}
	list, err := b.readCommit(ctx, g, commit, "")
	if err != nil {
		return nil, err
	}
	return list, b.cache.save(list, "places", k)
}

// readCommit reads the wanted files of a commit; with a folder given, their
// content goes there, under the name of its hash.
func (b *Builder) readCommit(ctx context.Context, g *template.Git, commit, dir string) ([]item, error) {
	repo, lock, err := b.cache.repository(ctx, g.URL, g.Ref, commit)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	entries, err := b.cache.tree(ctx, repo, commit, g.Subdir)
	if err != nil {
		return nil, b.cache.noFolder(ctx, repo, g, commit, err)
	}
	leftOut, err := template.Matcher(g.Exclude)
	if err != nil {
		return nil, err
	}
	found := &archiveReading{dir: dir, at: map[string]int{}}
	var ids []string
	var blobs []item
	for _, e := range entries {
		it, err := e.item()
		switch {
		case leftOut(e.path, e.mode == gitFolder):
		case err != nil:
			return nil, err
		case it.isDir():
			found.add(it)
		default:
			ids, blobs = append(ids, e.id), append(blobs, it)
		}
	}
	err = b.cache.blobs(ctx, repo, ids, func(i int, content io.Reader) error {
		if blobs[i].Kind == tar.TypeSymlink {
			return found.symlink(blobs[i], content)
		}
		return found.file(blobs[i], content)
	})
	return found.list, err
}

// noFolder says of a folder that a commit lacks what there is instead; of other
// troubles with its tree it says that they are.
func (c *Cache) noFolder(ctx context.Context, repo string, g *template.Git, commit string, cause error) error {
	entries, err := c.tree(ctx, repo, commit, ".")
	if err != nil {
		return fmt.Errorf("%s of commit %s: %w", g.Subdir, commit, cause)
	}
	var folders []string
	for _, e := range entries {
		switch {
		case e.mode == gitFolder:
			folders = append(folders, e.path)
		case e.path == g.Subdir:
			return fmt.Errorf("subdir %q is no folder in commit %s of %s", g.Subdir, commit, g.URL)
		}
	}
	if slices.Contains(folders, g.Subdir) {
		return fmt.Errorf("%s of commit %s: %w", g.Subdir, commit, cause)
	}
	hint := template.DidYouMean(g.Subdir, folders)
	if hint == "" {
		hint = "it has " + someOf(slices.DeleteFunc(folders, func(f string) bool { return strings.Contains(f, "/") }))
	}
	return fmt.Errorf("commit %s of %s has no folder %q (%s)", commit, g.URL, g.Subdir, hint)
}

// someOf lists the first few names.
func someOf(names []string) string {
	const most = 8
	switch {
	case len(names) == 0:
		return "no folders"
	case len(names) > most:
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// Modes of tree entries (git's Documentation/technical, "tree object").
const (
	gitFolder     = "040000"
	gitFile       = "100644"
	gitExecutable = "100755"
	gitLink       = "120000"
	gitSubmodule  = "160000"
)

// item is an entry as the image gets it; content is not yet known.
func (e gitEntry) item() (item, error) {
	it := item{Target: e.path, Kind: tar.TypeReg, Mode: 0o644}
	switch e.mode {
	case gitFolder:
		it.Kind, it.Mode = tar.TypeDir, 0o755
	case gitFile, "100664":
	case gitExecutable:
		it.Mode = 0o755
	case gitLink:
		it.Kind, it.Mode = tar.TypeSymlink, 0o777
	case gitSubmodule:
		return it, fmt.Errorf("%q is a submodule: its files are in another repository (exclude it, and add a git block for that one)", e.path)
	default:
		return it, fmt.Errorf("%q has the mode %s, which is none of git's", e.path, e.mode)
	}
	if path.Clean(e.path) != e.path || path.IsAbs(e.path) || e.path == ".." || len(e.path) > 3 && e.path[:3] == "../" {
		return it, errors.New("the tree has a path that leads out of it")
	}
	return it, nil
}
