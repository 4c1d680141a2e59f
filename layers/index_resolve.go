package layers

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// maxLinks is how many symlinks a resolution follows, as in Linux.
const maxLinks = 40

// Errors of resolving a path inside a tree.
var (
	ErrEscape  = errors.New("leads out of the root")
	ErrLoop    = errors.New("too many symlinks")
	ErrNotADir = errors.New("is no folder")
)

// Resolve follows the symlinks among p's parents, as a process rooted in the
// image would, and returns where p really is and what is there; the last name
// is not followed. When nothing is there the error is fs.ErrNotExist, but
// resolved is valid. Else it is ErrEscape, ErrLoop or ErrNotADir.
func (ix *Index) Resolve(p string) (resolved string, n Node, err error) {
	resolved, err = resolve(p, ix.link)
	if err != nil {
		return "", Node{}, err
	}
	n, ok := ix.Node(resolved)
	if !ok || n.Type == TypeWhiteout {
		return resolved, Node{}, fmt.Errorf("%q: %w", p, fs.ErrNotExist)
	}
	return resolved, n, nil
}

// Lookup is Resolve for those who only ask what is there. It follows a symlink
// in the last place too.
func (ix *Index) Lookup(p string) (Node, bool) {
	for range maxLinks {
		at, n, err := ix.Resolve(p)
		if err != nil {
			return Node{}, false
		}
		if n.Type != tar.TypeSymlink {
			return n, true
		}
		p = joinLink(path.Dir(at), n.Link)
	}
	return Node{}, false
}

func (ix *Index) link(p string) (string, error) {
	switch n, ok := ix.Node(p); {
	case !ok || n.IsDir():
		return "", nil
	case n.Type == tar.TypeSymlink:
		return n.Link, nil
	default:
		return "", ErrNotADir
	}
}

// resolve follows the symlinks among p's parents. link returns the text of
// the symlink at a path without symlinks, "" for a folder or nothing, or an
// error for anything else. An absolute link starts at the root again; one that
// climbs above the root is an error.
func resolve(p string, link func(string) (string, error)) (string, error) {
	var done []string // resolved so far
	todo := strings.Split(p, "/")
	for hops := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if len(done) == 0 {
				return "", fmt.Errorf("%q: %w", p, ErrEscape)
			}
			done = done[:len(done)-1]
			continue
		}
		done = append(done, name)
		if !holdsName(todo) {
			continue
		}
		text, err := link(strings.Join(done, "/"))
		if err != nil {
			return "", fmt.Errorf("%q: %q: %w", p, strings.Join(done, "/"), err)
		}
		if text == "" {
			continue
		}
		if hops++; hops > maxLinks {
			return "", fmt.Errorf("%q: %w", p, ErrLoop)
		}
		done = done[:len(done)-1]
		if strings.HasPrefix(text, "/") {
			done = nil
		}
		todo = append(strings.Split(text, "/"), todo...)
	}
	if len(done) == 0 {
		return ".", nil
	}
	return strings.Join(done, "/"), nil
}

// holdsName reports whether anything is left to look up.
func holdsName(todo []string) bool {
	for _, name := range todo {
		if name != "" && name != "." {
			return true
		}
	}
	return false
}

// joinLink returns the path that a symlink's text names, seen from dir, not
// yet resolved.
func joinLink(dir, text string) string {
	if strings.HasPrefix(text, "/") {
		return strings.TrimLeft(text, "/")
	}
	return dir + "/" + text
}
