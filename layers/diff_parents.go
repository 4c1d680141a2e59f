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
// it.
func (e *Entry) asImplied() bool {
	return e.node("").AsImplied() && len(e.Xattrs) == 0
}

// AsImplied says whether a folder is as docker and podman make it where a layer
// only implies it, whatever the layers below say: root's, with mode 0755.
func (n Node) AsImplied() bool { return n.Mode == 0o755 && n.UID == 0 && n.GID == 0 }
