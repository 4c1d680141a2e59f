package layers

import (
	"archive/tar"
	"os"
	"path"
	"path/filepath"
)

// parents adds the unchanged folders above what changed, where they are not as
// an implied folder would be.
func (d *differ) parents() error {
	have := map[string]bool{}
	for _, e := range d.tree.entries {
		have[e.Path] = true
	}
	for _, e := range d.tree.entries {
		for dir := path.Dir(e.Path); dir != "." && !have[dir]; dir = path.Dir(dir) {
			have[dir] = true
			info, err := os.Lstat(filepath.Join(d.tree.root, filepath.FromSlash(dir)))
			if err != nil {
				return &EntryError{Path: dir, Err: err}
			}
			f, err := examine(d.tree.root, dir, info)
			if err != nil {
				return err
			}
			if f == nil || f.entry.Type != tar.TypeDir || f.entry.asImplied() {
				continue
			}
			f.entry.ModTime = d.tree.opts.modTime(dir, info)
			d.tree.entries = append(d.tree.entries, f.entry)
		}
	}
	return nil
}

// asImplied says whether a folder is as it is made where a layer does not list
// it: root's, with mode 0755.
func (e *Entry) asImplied() bool {
	return e.Mode == 0o755 && e.UID == 0 && e.GID == 0 && len(e.Xattrs) == 0
}
