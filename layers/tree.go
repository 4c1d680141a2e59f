package layers

import (
	"archive/tar"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
)

// TreeOptions say how a tree on disk becomes entries.
type TreeOptions struct {
	// ModTime returns the time of an entry; nil means Epoch for all. path is
	// that of the entry.
	ModTime func(path string, info fs.FileInfo) time.Time
	// Skip leaves out a path, and what is below it when it is a folder. nil
	// skips nothing.
	Skip func(path string, info fs.FileInfo) bool
}

func (o TreeOptions) modTime(p string, info fs.FileInfo) time.Time {
	if o.ModTime == nil {
		return Epoch()
	}
	return o.ModTime(p, info)
}

// Tree lists the folder root as entries, in the order of layers, without root
// itself. It captures permissions, numeric owners, symlinks, hard links,
// devices, fifos and the extended attributes security.capability,
// system.posix_acl_* and user.*; sockets are left out. Names that are not
// UTF-8 or look like whiteouts, and overlay whiteouts, are an *EntryError; so
// is, once the entry is read, a file that has changed since (ErrChanged).
func Tree(root string, opts TreeOptions) ([]Entry, error) {
	t := &treeWalk{root: root, opts: opts, linked: map[inode]string{}}
	if err := t.dir("."); err != nil {
		return nil, err
	}
	return t.entries, nil
}

type treeWalk struct {
	root    string
	opts    TreeOptions
	linked  map[inode]string // first path of each hard-linked file
	entries []Entry
}

func (t *treeWalk) dir(dir string) error {
	list, err := os.ReadDir(filepath.Join(t.root, filepath.FromSlash(dir)))
	if err != nil {
		return &EntryError{Path: dir, Err: err}
	}
	for _, d := range list {
		p := path.Join(dir, d.Name())
		info, err := d.Info()
		if err != nil {
			return &EntryError{Path: p, Err: err}
		}
		if t.opts.Skip != nil && t.opts.Skip(p, info) {
			continue
		}
		if err := t.file(p, info); err != nil {
			return err
		}
	}
	return nil
}

func (t *treeWalk) file(p string, info fs.FileInfo) error {
	f, err := examine(t.root, p, info)
	if err != nil || f == nil {
		return err
	}
	if err := checkName(p); err != nil {
		return err
	}
	if f.whiteout {
		return entryErrorf(p, "is an overlay whiteout: this tree is the upper folder of an overlay")
	}
	f.entry.ModTime = t.opts.modTime(p, info)
	t.entries = append(t.entries, f.linkTo(t.linked))
	if f.entry.Type == tar.TypeDir {
		return t.dir(p)
	}
	return nil
}

// linkTo returns the file's entry: a hard link when an earlier path has the
// same inode.
func (f *found) linkTo(linked map[inode]string) Entry {
	e := f.entry
	if f.links < 2 || e.Type == tar.TypeDir {
		return e
	}
	first, seen := linked[f.id]
	if !seen {
		linked[f.id] = e.Path
		return e
	}
	e.Type, e.Link, e.Size, e.Open, e.Xattrs = tar.TypeLink, first, 0, nil, nil
	return e
}
