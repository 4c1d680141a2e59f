package layers

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// Diff lists the upper folder of an overlay as the entries of a layer to go
// on top of lowers. The lowers stand bottom first, each in overlay form (as
// Extract with Overlay makes them); both trusted.overlay.* and user.overlay.*
// marks are understood.
//
// A thing that is as in the lowers is dropped: same type, permissions, owner,
// content, link text and extended attributes; times do not count. So is a
// whiteout of nothing. Folders appear only when they are new, when their own
// metadata changed, or above a change where they are not as docker and podman
// make what a layer only implies: root's with mode 0755. What was removed becomes an explicit whiteout ".wh.NAME";
// the content of an opaque folder is compared too, so that a folder made anew
// with the same content is no difference. It is one ".wh..wh..opq" only when
// nothing of the lower folder is left.
//
// Redirected folders and metadata-only copies (mount options redirect_dir and
// metacopy) are an *EntryError: mount with both off.
func Diff(upper string, lowers []string, opts TreeOptions) ([]Entry, error) {
	d := &differ{
		tree:  treeWalk{root: upper, opts: opts, linked: map[inode]string{}},
		lower: lowerView(lowers),
	}
	if err := d.dir(".", len(lowers) > 0, false); err != nil {
		return nil, err
	}
	if err := d.parents(); err != nil {
		return nil, err
	}
	out := d.tree.entries
	slices.SortFunc(out, func(a, b Entry) int { return ComparePaths(a.Path, b.Path) })
	return out, nil
}

type differ struct {
	tree  treeWalk
	lower lowerView
}

// dir lists one folder of upper. below says whether the lowers have a folder
// there; replaced that this folder's lower content is hidden by an opaque mark
// on it or above it.
func (d *differ) dir(dir string, below, replaced bool) error {
	host := filepath.Join(d.tree.root, filepath.FromSlash(dir))
	list, err := os.ReadDir(host)
	if err != nil {
		return &EntryError{Path: dir, Err: err}
	}
	if below && replaced {
		done, err := d.removed(dir, list)
		if err != nil {
			return err
		}
		below = !done
	}
	for _, item := range list {
		p := path.Join(dir, item.Name())
		info, err := item.Info()
		if err != nil {
			return &EntryError{Path: p, Err: err}
		}
		if d.tree.opts.Skip != nil && d.tree.opts.Skip(p, info) {
			continue
		}
		if err := d.file(p, info, below, replaced); err != nil {
			return err
		}
	}
	return nil
}

// removed writes whiteouts for what an opaque folder hides. It reports true
// when it hid everything with one opaque whiteout.
func (d *differ) removed(dir string, list []fs.DirEntry) (bool, error) {
	names, err := d.lower.list(dir)
	if err != nil {
		return false, err
	}
	kept := map[string]bool{}
	for _, item := range list {
		info, err := item.Info()
		if err != nil {
			return false, &EntryError{Path: path.Join(dir, item.Name()), Err: err}
		}
		kept[item.Name()] = !isWhiteout(info)
	}
	var gone []string
	for _, name := range names {
		if !kept[name] {
			gone = append(gone, name)
		}
	}
	if len(gone) == len(names) && len(gone) > 1 {
		d.mark(path.Join(dir, OpaqueName))
		return true, nil
	}
	for _, name := range gone {
		d.mark(path.Join(dir, WhiteoutPrefix+name))
	}
	return false, nil
}

// mark adds a whiteout: an empty file of root's.
func (d *differ) mark(p string) {
	d.tree.entries = append(d.tree.entries, Entry{Path: p, Type: tar.TypeReg, ModTime: Epoch()})
}

func (d *differ) file(p string, info fs.FileInfo, below, replaced bool) error {
	f, err := examine(d.tree.root, p, info)
	if err != nil || f == nil {
		return err
	}
	if err := checkName(p); err != nil {
		return err
	}
	if err := checkOverlay(f); err != nil {
		return err
	}
	var old *found
	if below {
		if old, err = d.lower.find(p); err != nil {
			return err
		}
	}
	if f.whiteout {
		if old != nil && !replaced {
			d.mark(path.Join(path.Dir(p), WhiteoutPrefix+path.Base(p)))
		}
		return nil
	}
	same, err := sameThing(f, old)
	if err != nil {
		return err
	}
	if !same {
		f.entry.ModTime = d.tree.opts.modTime(p, info)
		d.tree.entries = append(d.tree.entries, f.linkTo(d.tree.linked))
	}
	if f.entry.Type != tar.TypeDir {
		return nil
	}
	return d.dir(p, old != nil && old.entry.Type == tar.TypeDir, replaced || f.opaque())
}

// checkOverlay refuses marks whose meaning a layer cannot hold.
func checkOverlay(f *found) error {
	for _, name := range []string{"redirect", "metacopy", "whiteout"} {
		if _, ok := f.overlay[name]; ok {
			return entryErrorf(f.entry.Path, "has the overlay mark %q: mount with redirect_dir=off,metacopy=off", name)
		}
	}
	if f.overlay["opaque"] == "x" {
		return entryErrorf(f.entry.Path, "has whiteouts as extended attributes, which are not supported")
	}
	return nil
}

// sameThing reports whether the upper file f is what the lowers have anyway.
func sameThing(f, old *found) (bool, error) {
	if old == nil {
		return false, nil
	}
	a, b := &f.entry, &old.entry
	if a.Type != b.Type || a.Mode != b.Mode || a.UID != b.UID || a.GID != b.GID || a.Size != b.Size ||
		a.Link != b.Link || a.Devmajor != b.Devmajor || a.Devminor != b.Devminor || !maps.Equal(a.Xattrs, b.Xattrs) {
		return false, nil
	}
	if a.Type != tar.TypeReg || a.Size == 0 {
		return true, nil
	}
	return sameContent(a, b)
}

func sameContent(a, b *Entry) (bool, error) {
	ra, err := a.Open()
	if err != nil {
		return false, &EntryError{Path: a.Path, Err: err}
	}
	defer ra.Close()
	rb, err := b.Open()
	if err != nil {
		return false, &EntryError{Path: b.Path, Err: err}
	}
	defer rb.Close()
	bufA, bufB := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errA := io.ReadFull(ra, bufA)
		m, errB := io.ReadFull(rb, bufB)
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			return false, nil
		}
		switch {
		case atEnd(errA) && atEnd(errB):
			return true, nil
		case errA != nil && !atEnd(errA):
			return false, &EntryError{Path: a.Path, Err: errA}
		case errB != nil && !atEnd(errB):
			return false, &EntryError{Path: b.Path, Err: errB}
		case errA != nil || errB != nil:
			return false, nil
		}
	}
}

func atEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
